"""Bitstreams of boards: pins, clocks, and what the tools make of a small design."""

import json

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

import hdl.boardtop
from hdl.config import CONFIGURATIONS
from hdl.uart import UartReceiver, UartTransmitter
from scripts.boards import BOARDS

# Tops are made to be looked at.
pytestmark = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")

#: For each board the pins of oscillator, rx, tx and light, and the oscillator's MHz.
PINS = {
    "icebreaker": ("35", "6", "9", "11", 12),
    "ulx3s-12f": ("G2", "M1", "L4", "B2", 25),
    "ulx3s-25f": ("G2", "M1", "L4", "B2", 25),
    "ulx3s-85f": ("G2", "M1", "L4", "B2", 25),
    "orangecrab-25f": ("A9", "N17", "M18", "M3", 48),
    "ecp5-evn": ("A10", "P2", "P3", "A13", 12),
}
#: What a bitstream begins with says which device it is for: its JTAG code.
CODES = {"ulx3s-12f": "21111043", "ulx3s-25f": "41111043", "orangecrab-25f": "41111043",
         "ecp5-evn": "81113043"}


class Echo(wiring.Component):
    """In place of an engine: gives back what comes over the line."""

    def __init__(self, config, *, divisor):
        self.config = config
        self.divisor = divisor
        super().__init__({"rx": In(1), "tx": Out(1)})

    def elaborate(self, _platform):
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.divisor)
        m.d.comb += [
            receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx),
            transmitter.i.payload.eq(receiver.o.p.data), transmitter.i.valid.eq(receiver.o.valid),
        ]
        return m


@pytest.fixture
def echo(monkeypatch):
    monkeypatch.setattr(hdl.boardtop, "SerialEngine", Echo)


def test_pins_are_those_of_the_boards():
    assert BOARDS.keys() == PINS.keys()
    for name, (*pins, mhz) in PINS.items():
        text = BOARDS[name].constraints()
        for port, pin in zip(("oscillator", "rx", "tx", "led"), pins, strict=True):
            assert (f"set_io {port} {pin}\n" in text
                    or f'LOCATE COMP "{port}" SITE "{pin}";\n' in text), (name, port)
        assert (f"set_frequency oscillator {mhz}\n" in text
                or f'FREQUENCY PORT "oscillator" {mhz} MHZ;\n' in text)


def test_lights_that_a_low_pin_lights():
    assert {name for name, board in BOARDS.items()
            if board.top(CONFIGURATIONS[board.config]).led_low} == {
        "icebreaker", "orangecrab-25f", "ecp5-evn"}


@pytest.mark.parametrize("name", BOARDS)
def test_every_board_has_a_clock_and_a_line_of_whole_cycles(name):
    board = BOARDS[name]
    top = board.top(CONFIGURATIONS[board.config])
    assert top.pll.mhz == board.mhz == top.divisor
    assert board.device_for(CONFIGURATIONS[board.config]).place == board.place


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("name", ["ulx3s-12f", "orangecrab-25f", "ecp5-evn", "icebreaker"])
def test_the_tools_make_a_bitstream(celosia, tmp_path, name):
    result = celosia("synth", "--board", name, "-o", tmp_path / "out", "--report",
                     tmp_path / "report.json")
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "report.json").read_text())
    board = BOARDS[name]
    path = tmp_path / "out" / f"{name}.{'bin' if name == 'icebreaker' else 'bit'}"
    assert (figures["board"], figures["clock_mhz"], figures["baud"], figures["bitstream"]) == (
        name, board.mhz, 1_000_000, str(path))
    assert (figures["config"], figures["speed"]) == (board.config, board.speed)
    assert figures["fmax_mhz"] >= board.mhz
    assert f"Load it: {board.load.format(path)}" in result.stdout
    content = path.read_bytes()
    assert len(content) > 10_000
    if name in CODES:
        assert bytes.fromhex(CODES[name]) in content
    # The clock that was timed is the loop's, and its frequency was derived from the oscillator's.
    log = (tmp_path / "out" / "nextpnr-1.log").read_text()
    assert f"{board.mhz}.0 MHz" in log or f"at {board.mhz}.00 MHz" in log


@pytest.mark.usefixtures("echo")
def test_a_clock_that_is_not_met_gives_no_bitstream(celosia, tmp_path):
    result = celosia("synth", "--board", "icebreaker", "--clock", "204", "-o", tmp_path)
    assert result.exit_code == 1
    line = result.stderr.splitlines()[-1]
    assert line.startswith("celosia: iCEBreaker: ")
    assert line.endswith("below its clock of 204 MHz; take more --seeds, or a lower --clock")
    assert not (tmp_path / "icebreaker.bin").exists()


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "Missing option '--config', or '--board'; see celosia synth --help"),
    (("--config", "tiny", "--clock", "50"), "--clock is for --board; see celosia synth --help"),
    (("--board", "icebreaker", "--part", "pipeline"),
     "--part pipeline is not for --board, which takes the engine; see celosia synth --help"),
    (("--config", "tiny", "--part", "pipeline", "--units"),
     "--units is for the engine of a --config; see celosia synth --help"),
    *((arguments, "--refine is for placements of a --config on a device of ECP5; "
       "see celosia synth --help")
      for arguments in (("--board", "ulx3s-25f", "--refine", "1"),
                        ("--config", "icebreaker", "--refine", "1"),
                        ("--config", "ecp5-25f", "--units", "--refine", "1"))),
    (("--board", "icebreaker", "--config", "ecp5-25f"),
     "ecp5-25f is for lfe5u-25f, and icebreaker has ice40up5k; leave out --config for icebreaker, "
     "or take a configuration with that device"),
    (("--board", "icebreaker", "--clock", "25"),
     "iCE40's phase-locked loop does not make exactly 25 MHz of 12 MHz"),
])
def test_what_does_not_go_together_is_refused(refused, tmp_path, arguments, said):
    assert refused("synth", *arguments, "-o", tmp_path / "out") == said
    assert not (tmp_path / "out").exists()
