# amaranth: UnusedElaboratable=no

import pytest
from amaranth.sim import Simulator

from hdl.boardtop import BoardTop
from hdl.clocks import ecp5_pll, ice40_pll
from hdl.config import load
from hdl.linkformat import VERSION, Operation, ReplyStatus
from scripts.framing import FrameDecoder, decoded_reply, encoded_request
from tests.hdl.bench import PERIOD
from tests.hdl.uart_line import drive

DIVISOR = 8


@pytest.mark.parametrize(("source", "mhz", "settings"), [
    # What Project Trellis's ecppll finds.
    (25, 50, (1, 2, 12)), (12, 48, (1, 4, 12)),
    # Multiples of half the source: 18 MHz, the oscillator at 594.
    (48, 48, (1, 1, 12)), (12, 18, (2, 3, 33))])
def test_ecp5_settings(source, mhz, settings):
    assert tuple(ecp5_pll(source, mhz).settings.values()) == settings


@pytest.mark.parametrize(("source", "mhz", "settings"), [
    # What Project IceStorm's icepll finds, with its sums: dividers there are one less.
    (12, 24, (1, 64, 5, 1)), (12, 36, (1, 48, 4, 1)), (12, 48, (1, 64, 4, 1)),
    (25, 25, (1, 32, 5, 2)), (100, 50, (1, 8, 4, 5))])
def test_ice40_settings(source, mhz, settings):
    found = ice40_pll(source, mhz)
    assert tuple(found.settings.values()) == settings
    assert source * settings[1] / settings[0] / 2 ** settings[2] == mhz


@pytest.mark.parametrize("source", [10, 12, 25, 27, 48, 100])
def test_every_setting_is_within_the_data_sheet(source):
    made = 0
    for mhz in range(5, 200):
        try:
            values = ecp5_pll(source, mhz).settings
        except ValueError:
            continue
        made += 1
        before, feedback, after = values.values()
        assert source * feedback == mhz * before
        assert source / before >= 3.125
        assert 400 <= mhz * after <= 800
    assert made > 20


@pytest.mark.parametrize(("make", "source", "mhz", "family"), [
    (ecp5_pll, 12, 50, "ECP5"), (ecp5_pll, 25, 1000, "ECP5"), (ice40_pll, 12, 25, "iCE40"),
    (ice40_pll, 12, 15, "iCE40"), (ice40_pll, 8, 24, "iCE40")])
def test_frequencies_that_cannot_be_made_are_refused(make, source, mhz, family):
    with pytest.raises(ValueError, match=f"{family}'s phase-locked loop does not make exactly "
                                         f"{mhz} MHz of {source} MHz"):
        make(source, mhz)


def test_answers_a_host_once_it_is_out_of_reset():
    """What comes before, while the loop has not locked, is lost; the light is dark until then."""
    dut = BoardTop(load("tiny"), pll=ecp5_pll(25, 50), divisor=DIVISOR)
    simulator = Simulator(dut)
    lit = []

    async def clock(ctx):
        while True:
            ctx.set(dut.oscillator, 1)
            await ctx.delay(PERIOD / 2)
            ctx.set(dut.oscillator, 0)
            await ctx.delay(PERIOD / 2)
            lit.append(ctx.get(dut.led))

    async def host(ctx):
        assert not ctx.get(dut.led)
        await ctx.delay((15 + BoardTop.RESET + 2) * PERIOD)
        await drive(ctx, dut.rx, encoded_request(Operation.OPEN, 0x42), cycles=DIVISOR)

    async def line(ctx):
        decoder, replies = FrameDecoder(), []
        while not replies:
            while ctx.get(dut.tx):
                await ctx.delay(PERIOD / 4)
            byte = 0
            await ctx.delay(DIVISOR * PERIOD / 2)
            for index in range(8):
                await ctx.delay(DIVISOR * PERIOD)
                byte |= ctx.get(dut.tx) << index
            await ctx.delay(DIVISOR * PERIOD)
            assert ctx.get(dut.tx)
            replies += decoder.feed([byte])
        assert decoded_reply(replies[0])[0] == {
            "sequence": 0x42, "status": ReplyStatus.OK, "count": 0, "info": VERSION}

    simulator.add_testbench(clock, background=True)
    simulator.add_testbench(host)
    simulator.add_testbench(line)
    simulator.run()
    # Fifteen cycles until it has locked, and those of the reset.
    assert lit.index(1) == 15 + BoardTop.RESET - 1
