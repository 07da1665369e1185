import re

import numpy as np
import pytest

from hdl.isa import (
    FIELDS,
    INSTRUCTION_WORDS,
    Destination,
    Instruction,
    Opcode,
    Status,
    assemble,
    disassemble,
)


def limits(field):
    low = -(1 << (field.width - 1)) if field.signed else 0
    return low, low + (1 << field.width) - 1


@pytest.mark.parametrize("seed", range(20))
def test_disassemble_reverses_assemble(seed):
    rng = np.random.default_rng(seed)
    values = {field.name: int(rng.integers(limits(field)[0], limits(field)[1] + 1))
              for field in FIELDS}
    words = assemble(**values)
    assert len(words) == INSTRUCTION_WORDS
    assert all(0 <= word < 1 << 32 for word in words)
    assert disassemble(words) == values


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_fields_keep_to_their_bits(field):
    """Either end of a field changes no other one, and one step more is refused."""
    for value, beyond in zip(limits(field), (-1, 1), strict=True):
        assert disassemble(assemble(**{field.name: value})) == {
            **dict.fromkeys((other.name for other in FIELDS), 0), field.name: value}
        with pytest.raises(ValueError, match="^" + re.escape(
                f"Instruction field {field.name} must be {limits(field)[0]} to "
                f"{limits(field)[1]}, not {value + beyond}") + "$"):
            assemble(**{field.name: value + beyond})


def test_fields_follow_each_other_from_bit_0():
    layout = Instruction()
    assert list(layout.members) == [field.name for field in FIELDS]
    offset = 0
    for field in FIELDS:
        assert (layout[field.name].offset, layout[field.name].width) == (offset, field.width)
        offset += field.width
    assert layout.size == offset <= 32 * INSTRUCTION_WORDS


def test_the_first_word_begins_with_the_opcode():
    words = assemble(opcode=Opcode.SEND, wait=1, pad_code=0x80, base=0x1234)
    assert words == [0x1234_8013] + [0] * (INSTRUCTION_WORDS - 1)


def test_unused_bits_are_ignored():
    words = assemble(opcode=Opcode.CONV)
    words[-1] = 0xFFFF_FFFF
    assert disassemble(words) == disassemble(assemble(opcode=Opcode.CONV))


def test_unknown_field():
    with pytest.raises(ValueError, match=r"^An instruction has no field 'colour'$"):
        assemble(colour=1)


@pytest.mark.parametrize("enumeration", [Opcode, Status, Destination])
def test_numbers_are_consecutive_and_have_meanings(enumeration):
    assert [member.value for member in enumeration] == list(range(len(enumeration)))
    for member in enumeration:
        assert enumeration(int(member)) is member
        assert member.meaning.endswith(".")
    assert all(field.meaning.endswith(".") for field in FIELDS)
