"""cocotb benches of netlists of :class:`hdl.top.AxiEngine`; run by ``test_netlist.py``."""

import cocotb
import numpy as np

from hdl.isa import Opcode, Status
from sim.engine import activation_words, as_beats, frame_packets, load_packets
from tests.cosim.engines import SYNTHESISED
from tests.cosim.host import Host
from tests.cosim.networks import network
from tests.cosim.programs import random_job

bench = cocotb.test(timeout_time=10, timeout_unit="ms")
families = cocotb.parametrize(family=list(SYNTHESISED))


async def packets(host, count, channels):
    """The next packets of results, each as words."""
    for _ in range(count):
        data = bytes((await host.sink.recv(compact=False)).tdata)
        yield activation_words(np.frombuffer(data, np.uint8).reshape(-1, 4), channels)


def used(program):
    return {fields["opcode"] for fields in program.instructions}


@bench
@families
async def networks_match_golden(dut, family):
    """As many as it takes to need every unit; started by register, frames behind the start."""
    config = SYNTHESISED[family]
    host = Host(dut, stall=0.1, seed=7)
    await host.start_up()
    rng = np.random.default_rng(700)
    missing = {Opcode.CONV} | ({Opcode.DEPTHWISE} if config.window_width else set()) | (
        {Opcode.VECTOR} if config.vector else set())
    while missing:
        drawn, program, frames = network(rng, config, macs=600)
        missing -= used(program)
        batches = [program.pack(codes) for codes in program.batches(frames)]
        await host.send(load_packets(program))
        await host.source.wait()
        while (await host.read("STATUS"))["loading"]:
            pass
        await host.start(len(batches))
        await host.send(frame_packets(batches))
        results = [program.unpack(words)
                   async for words in packets(host, len(batches), config.channels)]
        np.testing.assert_array_equal(np.concatenate(results)[:len(frames)], drawn(frames))
        while (status := await host.read("STATUS"))["busy"]:
            pass
        assert status["code"] == Status.DONE


@bench
@families
async def any_program_matches_the_interpreter(dut, family):
    """Programs that no compiler would write, started by packet."""
    config = SYNTHESISED[family]
    host = Host(dut, stall=0.1, seed=8)
    await host.start_up()
    rng = np.random.default_rng(800)
    for _ in range(3):
        job = random_job(rng, config, longest=400)
        outcome = job.interpret(config)
        assert outcome.status == Status.DONE
        await host.send(job.beats())
        for words in outcome.sent:
            data = bytes((await host.sink.recv(compact=False)).tdata)
            assert data == as_beats(words)[:, :4].tobytes()
        # Packets that fill memories may come only when the program is done.
        while (status := await host.read("STATUS"))["busy"]:
            pass
        assert status["code"] == Status.DONE
