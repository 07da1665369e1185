"""The page about boards and the host link, with tables from their definitions."""

from hdl.config import CONFIGURATIONS
from hdl.linkformat import (
    ESCAPE,
    ESCAPED,
    FLAG,
    MAX_WORDS,
    REPLY_FIELDS,
    REQUEST_FIELDS,
    VERSION,
    Operation,
    ReplyStatus,
)
from scripts.boards import BAUD, BOARDS

__all__ = ["boards_page"]


def boards_page():
    """Return the text of ``docs/boards.md``."""
    return _PAGE.format(
        baud=f"{BAUD:,}", boards="\n".join(map(_board, BOARDS.values())),
        load="\n".join(f"| {board.title} | `{board.load.format('DIR/' + _file(board))}` |"
                       for board in BOARDS.values()),
        request=_fields(REQUEST_FIELDS), reply=_fields(REPLY_FIELDS),
        operations=_meanings(Operation), statuses=_meanings(ReplyStatus), flag=f"0x{FLAG:02X}",
        escape=f"0x{ESCAPE:02X}", escaped=f"0x{ESCAPED:02X}", most=MAX_WORDS, version=VERSION)


def _file(board):
    return f"{board.name}.{'bin' if board.device.startswith('ice40') else 'bit'}"


def _board(board):
    config = CONFIGURATIONS[board.config]
    return (f"| {board.title} | `{board.name}` | {board.device}, grade {board.speed} | "
            f"`{config.name}`, {config.rows}×{config.columns} | {board.mhz} MHz |")


def _fields(fields):
    rows, low = [], 0
    for name, width, meaning in fields:
        rows.append(f"| `{name}` | {low + width - 1}–{low} | {meaning} |")
        low += width
    return "\n".join(rows)


def _meanings(numbers):
    return "\n".join(f"| {member.value} | `{member.name}` | {member.meaning} |"
                     for member in numbers)


_PAGE = """\
# Boards

<!-- Generated from scripts/boards.py and hdl/linkformat.py by `python -m scripts.pages`. -->

For those who have a board on their desk. **No board was at hand when this was written.** What there
is instead: the host's program runs whole inferences against the simulated board, over a line that
loses, repeats and changes bytes (`tests/cosim/test_board.py`), and nextpnr routes the design with
the board's pins and clock.

| board | `--board` | device | engine | clock |
| --- | --- | --- | --- | --- |
{boards}

- iCEBreaker: engine and link take 4,825 of the 5,280 logic cells; placed and routed with
  seed 1 they reach 37.25 MHz.
- OrangeCrab has no USB-serial bridge. Connect an adapter of 3.3 V: its TX to the pin marked 0, its
  RX to pin 1, and ground.
- ECP5 Evaluation Board: the serial line works only after two resistors have been moved, and
  perhaps the FTDI chip been configured; see section 6.2 of its user manual. The engine is that of
  the LFE5U-85F, which this device, an LFE5UM5G-85F, has all cells of.

## Build
    .venv/bin/celosia synth --board ulx3s-25f -o build/ulx3s --report build/ulx3s.json

`build/ulx3s` receives the bitstream, and the logs of Yosys, nextpnr and the packer. It takes
minutes. If the clock is not met there is no bitstream, and the exit status is 1: try `--seeds 5`,
of which the fastest is packed, or a lower `--clock`. A higher `--clock` is welcome as well.
Another engine is taken by `--config`, if it is for the same device. The report has, beside what
[synthesis](synthesis.md) reports, `board`, `clock_mhz`, `baud` and `bitstream`.

## Load
With tools of other projects, which have to be installed separately:

| board | command |
| --- | --- |
{load}

`openFPGALoader` loads into the FPGA until it loses power; with `-f` it writes the flash. For ULX3S
`fujprog FILE` does the same. For OrangeCrab run `dfu-suffix -v 1209 -p 5af0 -a FILE` first, and
hold the button while you plug it in. The light is lit when the engine is ready, and flickers with
what goes over the line.

## Run
    .venv/bin/celosia run model.tflite --config ecp5-25f --input x.npy --output y.npy \\
      --engine board --port /dev/ttyUSB0

The model is compiled for `--config`, which must be the board's; the program makes sure of it by
the engine's registers. It resets the engine, loads program, weights and coefficients, sends
frames, takes results, and compares them with the golden model's: exit status 1 if a code differs;
2, with the reason, if there is no such port, nobody answers, the engine is another one, or it
stops. What the line loses is sent again, and counted.

The line has {baud} baud, which is about 95 kB of words a second; loading a megabyte takes
more than ten seconds, and frames take longer to go in than to be computed. USB bridges by FTDI
wait up to 16 ms before they hand on what is less than a packet; on Linux
`echo 1 | sudo tee /sys/bus/usb-serial/devices/ttyUSB0/latency_timer` makes it 1 ms.

## The link, version {version}
8 data bits, no parity, one stop bit, no handshake. The host sends a request and waits for its
reply; the board never speaks unasked, so neither side needs more room than for one of them.

Either is a frame: {flag}, the bytes of some 32-bit words, lowest first, and {flag}. Between the
two, a byte that is {flag} or {escape} is sent as {escape} and that byte exclusive-or {escaped}.
The words are a header, a body of up to {most} words, and the CRC-32 (as in Ethernet and zlib) of
header and body. A frame is whole whatever came before it: the first {flag} ends that. Empty frames
are ignored.

A request's header:

| field | bits | meaning |
| --- | --- | --- |
{request}

| `operation` | name | meaning |
| --- | --- | --- |
{operations}

A reply's header:

| field | bits | meaning |
| --- | --- | --- |
{reply}

| `status` | name | meaning |
| --- | --- | --- |
{statuses}

If no reply comes in time, or one that says `DAMAGED`, the host sends the same request again under
the same number. The board keeps its last reply: a request with the number of the one before is
answered by it and not executed. So a word of a stream is neither lost nor doubled, whatever the
line does, as long as a damaged frame does not happen to have the right CRC. Replies with another
number are late copies, which the host ignores. `hdl/link.py` is the board's end, `scripts/link.py`
the host's.
"""
