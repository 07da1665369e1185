"""cocotb benches of :class:`hdl.top.WishboneEngine`, tiny; run by ``test_top.py``."""

import cocotb

from hdl.isa import Status
from hdl.registers import IDENTITY, REGISTERS, VERSION
from sim.registers import Registers
from tests.cosim.host import CONFIG, Network, WishboneHost

bench = cocotb.test(timeout_time=2, timeout_unit="ms")


@bench
@cocotb.parametrize(classic=[False, True], stall=[0, 0.5])
async def runs_match_golden(dut, classic, stall):
    """Frames before and after the start; then a soft reset in the middle, and again."""
    network = Network(1, frames=2)
    host = WishboneHost(dut, classic=classic, stall=stall, seed=2)
    await host.start_up()
    await host.load(network)
    for cut_off in (False, True, False):
        await host.frames(network, [0])
        await host.start(2)
        if cut_off:
            await host.write("CONTROL", reset=1, discard=1)
            await host.source.wait()
            await host.write("CONTROL")
            while (await host.read("STATUS"))["closing"]:
                pass
            assert (await host.read("STATUS"))["code"] == Status.NONE
            continue
        await host.frames(network, [1])
        await host.finish(network, 2)
        assert (await host.read("FRAMES"))["finished"] == 2


@bench
@cocotb.parametrize(classic=[False, True])
async def accesses_that_miss_are_refused(dut, classic):
    """They end with `err` and have no effect; bytes go where `sel` says."""
    host = WishboneHost(dut, classic=classic, stall=0.5, seed=3)
    await host.start_up()
    mapped = {register.offset: register for register in REGISTERS}
    for offset in [*range(0, 0x60, 4), 0x100, 0x800, 0xFFC]:
        register = mapped.get(offset)
        done, _ = await host.access(offset)
        assert done == (register is not None)
        if not register or not register.writable:
            done, _ = await host.access(offset, 0xFFFF_FFFF)
            assert not done
    assert await host.read("ID") == {"id": IDENTITY}
    assert tuple((await host.read("VERSION")).values()) == VERSION[::-1]
    assert await host.read("ARRAY") == {
        name: getattr(CONFIG, name) for name in ("rows", "columns", "lanes", "channels")}
    frames = Registers.offset("START_FRAMES")
    await host.write("START_FRAMES", frames=0x4433_2211)
    await host.access(frames, 0x99BB_AA88, sel=0b0110)
    assert (await host.read("START_FRAMES"))["frames"] == 0x44BB_AA11
    assert not (await host.read("STATUS"))["busy"]
