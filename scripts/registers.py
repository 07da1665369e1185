"""The register map as C and as a page of documentation."""

from hdl.isa import Status
from hdl.registers import IDENTITY, REGISTERS, VERSION, Access

__all__ = ["c_header", "registers_page"]


def c_header():
    """Return ``celosia_registers.h``: offsets, fields and status codes."""
    lines = [
        "/* Registers of a Celosia engine. Generated; do not edit.",
        " *",
        " * An offset is in bytes. A field has a position and a mask, which is in place. */",
        "#ifndef CELOSIA_REGISTERS_H",
        "#define CELOSIA_REGISTERS_H",
        "",
        f"#define CELOSIA_IDENTITY 0x{IDENTITY:08X}u",
        *(f"#define CELOSIA_VERSION_{part} {number}u"
          for part, number in zip(("MAJOR", "MINOR", "PATCH"), VERSION, strict=True)),
    ]
    for register in REGISTERS:
        prefix = f"CELOSIA_{register.name}"
        lines += ["", f"/* {register.meaning} */".replace("`", ""),
                  f"#define {prefix}_OFFSET 0x{register.offset:02X}u"]
        for field in register.fields:
            name = f"{prefix}_{field.name.upper()}"
            mask = ((1 << field.width) - 1) << field.low
            lines += [f"/* {field.meaning} ({field.access.value}) */".replace("`", ""),
                      f"#define {name}_SHIFT {field.low}u",
                      f"#define {name}_MASK 0x{mask:08X}u"]
    lines += ["", "/* Values of STATUS.code. */"]
    lines += [f"#define CELOSIA_CODE_{status.name} {status.value}u" for status in Status]
    return "\n".join([*lines, "", "#endif", ""])


def registers_page():
    """Return ``docs/registers.md``."""
    rows = []
    for register in REGISTERS:
        rows.append(f"| `0x{register.offset:02X}` | `{register.name}` | | | | "
                    f"{register.meaning} |")
        for field in register.fields:
            reset = "" if field.access is Access.READ else field.reset
            rows.append(f"| | `{field.name}` | {_bits(field)} | {field.access.value} | {reset} | "
                        f"{field.meaning} |")
    codes = [f"| {status.value} | `{status.name}` |" for status in Status]
    return _PAGE.format(rows="\n".join(rows), codes="\n".join(codes))


def _bits(field):
    high = field.low + field.width - 1
    return str(high) if field.width == 1 else f"{high}–{field.low}"


_PAGE = """\
# Registers

<!-- Generated from hdl/registers.py by `python -m scripts.pages`. -->

What a processor sees of the engine, over AXI4-Lite (`celosia generate --control axi`) or Wishbone
B4 (`--control wishbone`). The same definition gives the RTL, `celosia_registers.h`, and
`sim.registers.Registers` for Python.

| offset | name | bits | access | reset | meaning |
| --- | --- | --- | --- | --- | --- |
{rows}

Bits of no field read as zero, and writing them does nothing. `reset` is the value after the
design's own reset, `rst`.

## A run
1. Send the packets that fill the memories to the input stream, and wait until `STATUS.loading` is
   low.
2. Write `START_ADDRESS` and `START_FRAMES`, then `CONTROL.start`; or send a START packet, which
   holds both.
3. Send frames, and take results from the output stream. Frames may also be sent before the start:
   the first one waits.
4. Wait for `irq` with `INTERRUPT_ENABLE.stopped`, or until `STATUS.busy` is low and `STATUS.code`
   is not 0.

`CONTROL.start` is refused, and does nothing but set `STATUS.refused`, while a program runs, while
a packet that fills a memory is under way, for no frames, in one write with `reset`, and after a
fault until the next soft reset. A START packet while a program runs is a fault, `ILLEGAL_PACKET`,
because what is in a stream cannot be refused.

`CYCLES`, `LAYERS` and `FRAMES` begin at zero with every program. `CYCLES` counts the cycles of the
program: from the one in which it begins, at most ten after the START packet or the write to
`CONTROL`, to that in which it stops, all results taken.

## Why the engine stopped
| `STATUS.code` | name |
| --- | --- |
{codes}

After a fault, which is any code above 1, the engine does nothing more until a soft reset.

## Soft reset
`CONTROL.reset` takes one cycle. It stops the program and forgets what is under way; memories, the
registers that are read and written, pending interrupts and the counters keep what they hold. The
streams stay in order:

- The rest of an input packet that was under way is accepted and dropped. Packets behind it are
  not: to be rid of those that are already on their way, set `CONTROL.discard` in the same write,
  and clear it when the source is quiet.
- An output beat that is on offer stays until it is taken. If its packet is not complete, a last
  beat of zero ends it.

`STATUS.closing` is high until both packets have ended. The engine can be started before that.

## Buses
Data is 32 bits wide. Strobes of single bytes (WSTRB, `sel`) are honoured: the other bytes of a
register keep what they hold. AXI4-Lite addresses are in bytes, their lowest two bits are ignored;
Wishbone addresses are in words. An access to an offset without a register, and a write to a
register without a field that can be written, are answered by SLVERR or `err` and do nothing.
"""
