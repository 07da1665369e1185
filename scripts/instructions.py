"""The instruction set as a page of documentation."""

from hdl.isa import (
    FIELDS,
    INSTRUCTION_WORDS,
    TAP_SPAN,
    Destination,
    Instruction,
    Opcode,
    Status,
)
from hdl.layouts import Rounding
from hdl.operands import StoredCoefficients

__all__ = ["instructions_page"]


def instructions_page():
    """Return ``docs/instructions.md``."""
    layout = Instruction()
    fields = [f"| `{field.name}` | {_bits(layout[field.name].offset, field.width)} | "
              f"{'signed' if field.signed else 'unsigned'} | {field.meaning} |"
              for field in FIELDS]
    stored = StoredCoefficients()
    records = [f"| `{name}` | {_bits(stored[name].offset, stored[name].width)} | "
               f"{_RECORD[name]} |" for name in stored.members]
    return _PAGE.format(
        words=INSTRUCTION_WORDS, used=layout.size, last_bit=32 * INSTRUCTION_WORDS - 1,
        span=TAP_SPAN, opcodes=_table(Opcode), fields="\n".join(fields), records="\n".join(records),
        record_bits=stored.size, destinations=_table(Destination), codes=_table(Status))


def _bits(low, width):
    return str(low) if width == 1 else f"{low + width - 1}–{low}"


def _table(enumeration):
    return "\n".join(f"| {member.value} | `{member.name}` | {member.meaning} |"
                     for member in enumeration)


_RECORD = {
    "bias": "signed; the input's zero point, and 128 if codes are uint8, folded into it",
    "multiplier": "signed, not -2^31",
    "shift": "at most 62",
    "rounding": ", ".join(f"{mode.value}: {mode.name.lower()}" for mode in Rounding)
                + "; `tflite` with a shift below 31 is written as `half_up`",
}

_PAGE = """\
# Instructions

<!-- Generated from hdl/isa.py by `python -m scripts.pages`. -->

What a program is made of, and how programs, data and results travel. The same definition gives
the decoder, the assembler (`hdl.isa.assemble`), the disassembler and this page;
`sim/interpreter.py` executes programs in Python and says what each instruction means.

## Opcodes
| code | name | what it does |
| --- | --- | --- |
{opcodes}

An instruction takes {words} words of program memory; `START` and `END` give the address of the
first one, at any word. Bits {used} to {last_bit} are not used. All addresses and steps of
activation memory are modulo 2^16, so a step may also go back.

Instructions overlap: each is handed out once all units that it concerns have taken the one
before. Weights and coefficients are read ahead, a frame arrives beside whatever follows its
RECEIVE, and an instruction begins to read activations when the one before has read its last. So
one that reads what an earlier instruction writes says `wait`, and the first one that reads a
frame says `wait_input`. Reading is in order, and results are written in order, behind the reads
of all earlier instructions. What an instruction writes must not be what it reads itself, but for
a VECTOR that reads each word once, before it writes that word's result there.

## Fields
| field | bits | type | meaning |
| --- | --- | --- | --- |
{fields}

Quantities are in words of their memory unless the meaning says otherwise. Three are products of
others, which spares the engine multipliers; the engine compares them while it counts:

- `last_step` + 1 = kernel rows · kernel columns · words of a tap
- `pixels` + 1 = frames · output rows · output columns
- `tiles` + 1 = ⌈(`pixels` + 1) / rows of the array⌉

If they differ, or if SEND has more than one word for an output pixel or more than one block, it
stops with ILLEGAL_INSTRUCTION. A dilated kernel may span {span} input rows and columns.

CONV computes, for block b of `columns` output channels, output pixel p and each of its channels,
`requantise(Σ weight · code + bias)` over kernel rows, kernel columns and words of a tap, in this
order, `channels` products a word ([arithmetic](arithmetic.md)). A tap outside the input is
`pad_code`. Weight words are in the same order: those of a block follow those of the block before.
Coefficient records are one for each output channel of all blocks.

## Coefficient records
| field | bits | meaning |
| --- | --- | --- |
{records}

A record has {record_bits} bits. Zero point and bounds of the output are the instruction's.

## Packets
The input is an AXI4-Stream of 32-bit words. A packet ends with TLAST and is, in this order:

1. the destination in bits 3–0, and an address in bits 31–16;
2. the number of memory words that follow, or of frames for START;
3. those memory words, each in as many 32-bit words as it needs, lowest bits first.

| code | destination | where it goes |
| --- | --- | --- |
{destinations}

A frame waits until a RECEIVE accepts it. Any other packet is refused while a program runs. The
output stream carries the words of each SEND, likewise in 32-bit words, with TLAST at its end.

## Why the engine stopped
| code | status | meaning |
| --- | --- | --- |
{codes}

The first reason counts. After anything but DONE the engine does nothing more until it is reset.
A stream that is cut off cannot be told from one that pauses: the engine waits, and a reset ends
that too.
"""
