"""Runs layers through a pipeline in the Amaranth simulator, where every register can be seen."""

import random
from unittest.mock import patch

import numpy as np
from amaranth.hdl import ResetInserter, Signal

from hdl.array import SystolicArray
from hdl.config import Configuration
from hdl.pipeline import ConvPipeline
from sim.lowering import lower
from sim.streams import bits, receive, send
from tests.hdl.bench import simulate

__all__ = ["configuration", "run"]

INPUTS = ("tiles", "activations", "weights", "coefficients")


def configuration(rows, columns, lanes, channels, **parameters):
    return Configuration(name="of the test", device="any", rows=rows, columns=columns, lanes=lanes,
                         channels=channels, **parameters)


def run(config, work, *, gaps=None, cut_offs=(), cycles=20_000):
    """Run ``work``, a list of (layer, codes), and return outputs and what the array did.

    Parameters
    ----------
    gaps : dict of iterators, optional
        Idle cycles before each payload of the streams named.
    cut_offs : sequence of int
        Before the run, the pipeline takes payloads in no sensible order and is reset after so
        many cycles of it, for each number given.
    cycles : int
        The watchdog's patience.

    Returns
    -------
    outputs : list of arrays
    busy : bool array, shape (cycles, rows, columns)
        In which cycles an element's operand registers hold two operands that are not zero.
    """
    jobs = [lower(layer, codes, config) for layer, codes in work]
    payloads = {name: [int.from_bytes(row.tobytes(), "little")
                       for job in jobs for row in job.payloads[name]] for name in INPUTS}
    dut, reset = ConvPipeline(config), Signal()
    gaps = gaps or {}
    words, busy = [], []
    cut_short = sum(cut_offs) + len(cut_offs)

    def producer(name):
        async def produce(ctx):
            port = bits(getattr(dut, name))
            await idle(ctx, cut_short)
            await send(ctx, port, payloads[name], gaps=gaps.get(name))
        return produce

    async def consumer(ctx):
        await idle(ctx, cut_short)
        words.extend(await receive(ctx, bits(dut.outputs), sum(job.words for job in jobs),
                                   gaps=gaps.get("outputs")))

    async def nothing_more_comes(ctx):
        while len(words) < sum(job.words for job in jobs):
            await ctx.tick()
        for _ in range(3 * config.drain_cycles):
            assert not ctx.get(dut.outputs.valid), "outputs went on after the last one"
            await ctx.tick()

    async def cutter(ctx):
        source = random.Random(cut_short)
        for after in cut_offs:
            for _ in range(after):
                for name in INPUTS:
                    ctx.set(bits(getattr(dut, name)).payload, source.choice(payloads[name]))
                    ctx.set(getattr(dut, name).valid, source.random() < 0.9)
                ctx.set(dut.outputs.ready, source.random() < 0.9)
                await ctx.tick()
            for name in INPUTS:
                ctx.set(getattr(dut, name).valid, 0)
            ctx.set(dut.outputs.ready, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    elements = []

    async def observer(ctx):
        operands = [value for element in elements for value in (element.x_next, element.w_next)]
        async for _, _, *values in ctx.tick().sample(*operands):
            busy.append(np.array(values).reshape(-1, 2).all(axis=1))

    benches = [*map(producer, INPUTS), consumer, nothing_more_comes]
    if cut_offs:
        benches.append(cutter)
    with patch.object(SystolicArray, "_element", _recording(elements)):
        simulate(ResetInserter(reset)(dut), *benches, background=[observer], cycles=cycles)

    words = np.frombuffer(b"".join(word.to_bytes(config.lanes, "little") for word in words),
                          np.uint8).reshape(-1, config.lanes)
    parts = np.split(words, np.cumsum([job.words for job in jobs])[:-1])
    outputs = [job.assemble(part) for job, part in zip(jobs, parts, strict=True)]
    return outputs, np.array(busy).reshape(-1, config.rows, config.columns)


async def idle(ctx, cycles):
    for _ in range(cycles):
        await ctx.tick()


def _recording(elements):
    """Return a `SystolicArray._element` that also keeps each element in ``elements``."""
    make = SystolicArray._element

    def _element(self, m, row, column):
        elements.append(make(self, m, row, column))
        return elements[-1]

    return _element
