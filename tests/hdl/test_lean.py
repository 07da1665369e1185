"""Lean engines: short fields are kept whole, and what does not fit them is refused."""

import pytest

from hdl.isa import FIELDS, Instruction, Opcode, Status, assemble, lean_widths
from hdl.sequencer import Sequencer
from tests.hdl.bench import simulate

WIDTHS = lean_widths(activation_words=1000, weight_words=6000, coefficient_words=700)
FULL = {field.name: field.width for field in FIELDS}
ADDRESSES = ("base",)


def outcome(fields):
    """What the reader is offered of an instruction, or the status with which it is refused."""
    dut = Sequencer(depth=64, instruction=Instruction(WIDTHS))
    seen = []

    async def bench(ctx):
        ctx.set(dut.all_sent, 1)
        ctx.set(dut.write_en, 1)
        for address, word in enumerate(assemble(opcode=Opcode.CONV, **fields)):
            ctx.set(dut.write_address, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        ctx.set(dut.write_en, 0)
        ctx.set(dut.start_frames, 1)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        for _ in range(40):
            if ctx.get(dut.stopped):
                seen.append(Status(ctx.get(dut.status)))
                return
            if ctx.get(dut.reader.valid):
                seen.append({name: int(ctx.get(dut.reader.p[name]))
                             for name in dut.instruction.members})
                return
            await ctx.tick()

    simulate(dut, bench)
    return seen[0]


@pytest.mark.parametrize("name", [name for name in WIDTHS if WIDTHS[name] not in (0, FULL[name])])
def test_takes_the_greatest_value_and_refuses_one_more(name):
    greatest = (1 << WIDTHS[name]) - 1
    if name in ADDRESSES:       # Signed: what is above half of it lies below zero.
        greatest >>= 1
    assert outcome({name: greatest})[name] == greatest
    assert outcome({name: greatest + 1}) == Status.ILLEGAL_INSTRUCTION
    assert outcome({name: 1 << (FULL[name] - 1)}) == Status.ILLEGAL_INSTRUCTION


def test_a_base_address_may_lie_below_zero():
    bits = WIDTHS["base"]
    for value in (-1, -(1 << (bits - 1))):
        assert outcome({"base": value % (1 << 16)})["base"] == value % (1 << bits)
    assert outcome({"base": (-(1 << (bits - 1)) - 1) % (1 << 16)}) == Status.ILLEGAL_INSTRUCTION


@pytest.mark.parametrize("name", [name for name in WIDTHS if WIDTHS[name] == 0])
def test_refuses_what_it_has_no_field_for(name):
    assert name not in Instruction(WIDTHS).members
    assert outcome({name: 1}) == Status.ILLEGAL_INSTRUCTION


def test_keeps_every_other_field():
    """Each bit of each, at both values."""
    names = [field.name for field in FIELDS if WIDTHS.get(field.name) != 0 and not field.signed
             and field.name != "base"]
    for value in (0, 1):
        fields = {name: value * ((1 << WIDTHS.get(name, FULL[name])) - 1)
                  for name in names if name not in ("opcode", "wait", "wait_input", "next")}
        got = outcome({**fields, "zero": -value, "low": -value, "high": value})
        assert {name: got[name] for name in fields} == fields
        assert (got["zero"], got["low"], got["high"]) == (-value, -value, value)
