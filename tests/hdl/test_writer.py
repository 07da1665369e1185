# amaranth: UnusedElaboratable=no

import itertools
import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.isa import Instruction, Opcode
from hdl.writer import ResultWriter
from sim.streams import bits, random_gaps, send
from tests.hdl.bench import simulate

#: rows, slots, channels, lanes
SIZES = ((1, 1, 1, 1), (2, 1, 4, 1), (3, 2, 2, 2), (2, 4, 4, 2), (4, 3, 8, 4))
LAYERS = st.lists(st.fixed_dictionaries({
    "opcode": st.sampled_from([Opcode.CONV, Opcode.DEPTHWISE, Opcode.VECTOR]),
    "blocks": st.integers(0, 2), "pixels": st.integers(0, 9), "out_pixels": st.integers(0, 9),
    "out_base": st.integers(0, 0xFFFF), "out_step": st.integers(0, 0xFFFF),
    "out_groups": st.integers(0, 9),
}), min_size=1, max_size=3)


def results(layer, rows, slots, parts):
    """(address, part) of all groups that a layer's unit gives, in order, or None for those that
    nobody wants."""
    array = layer["opcode"] == Opcode.CONV
    pixels = layer["out_pixels" if layer["opcode"] == Opcode.DEPTHWISE else "pixels"] + 1
    given, size = (-(-pixels // rows) * rows, slots) if array else (pixels, parts)
    for block, pixel, slot in itertools.product(range(layer["blocks"] + 1), range(given),
                                                range(size)):
        group = block * size + slot
        if pixel < pixels and group <= layer["out_groups"]:
            address = layer["out_base"] + pixel * layer["out_step"] + group // parts
            yield address % 2**16, group % parts
        else:
            yield None


def write(size, layers, codes, *, gaps=None, layer_gaps=None, cut_off=0):
    """Return the writes (address, part, codes) and the cycles of ``results``, ``layers``,
    ``writes`` and ``done``. ``cut_off`` cycles come first, and a reset."""
    rows, slots, channels, lanes = size
    dut, reset = ResultWriter(rows=rows, slots=slots, channels=channels, lanes=lanes), Signal()
    writes = []
    cycles = {name: [] for name in ("results", "layers", "writes", "done")}

    async def instruct(ctx):
        payloads = [Instruction().const(layer).as_bits() for layer in layers]
        if cut_off:
            ctx.set(bits(dut.layers).payload, payloads[0])
            ctx.set(dut.layers.valid, 1)
            ctx.set(dut.results.valid, 1)
            await ctx.tick().repeat(cut_off)
            ctx.set(dut.layers.valid, 0)
            ctx.set(dut.results.valid, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
        await send(ctx, bits(dut.layers), payloads, gaps=layer_gaps)

    async def give(ctx):
        await ctx.tick().repeat(cut_off + 1)
        await send(ctx, bits(dut.results), codes, gaps=gaps)
        await ctx.tick().repeat(3)

    async def observe(ctx):
        cycle = -1 - (cut_off + 1 if cut_off else 0)
        async for _, _, came, accepted, enabled, free, one, done in ctx.tick().sample(
                dut.results.valid & dut.results.ready, dut.layers.valid & dut.layers.ready,
                dut.write_en, dut.write_free, dut.write, dut.done):
            cycle += 1
            assert free != enabled
            for happened, name in zip((came, accepted, enabled, done), cycles, strict=True):
                if happened and cycle >= 0:
                    cycles[name].append(cycle)
            if enabled and cycle >= 0:
                part = one.enable.bit_length() - 1
                assert one.enable == 1 << part
                writes.append((one.address, part,
                               bytes(one.codes)[part * lanes:(part + 1) * lanes]))

    simulate(ResetInserter(reset)(dut), instruct, give, background=[observe])
    return writes, cycles


def check(size, layers, seed, **options):
    """Results of ``layers`` get where they belong, and in time."""
    rows, slots, channels, lanes = size
    expected = [list(results(layer, rows, slots, channels // lanes)) for layer in layers]
    source = random.Random(seed)
    codes = [source.getrandbits(8 * lanes) for layer in expected for _ in layer]
    writes, cycles = write(size, layers, codes, **options)
    wanted = [(place, code, cycle) for place, code, cycle in
              zip(itertools.chain(*expected), codes, cycles["results"], strict=True) if place]
    assert writes == [(*place, code.to_bytes(lanes, "little")) for place, code, _ in wanted]
    latency = ResultWriter.latency(lean=False)
    assert cycles["writes"] == [cycle + latency for *_, cycle in wanted]
    ends = [sum(map(len, expected[:index + 1])) - 1 for index in range(len(expected))]
    assert cycles["done"] == [cycles["results"][end] + latency for end in ends]
    return cycles, ends


@settings(max_examples=60, deadline=None)
@given(size=st.sampled_from(SIZES), layers=LAYERS, seed=st.integers(0, 999),
       pause=st.sampled_from([0, 3]))
def test_results_get_where_they_belong(size, layers, seed, pause):
    """Each is written three cycles after it came; what fills up tiles and blocks is not."""
    check(size, layers, seed, gaps=random_gaps(seed, longest=pause),
          layer_gaps=random_gaps(seed + 1, longest=pause))


@pytest.mark.parametrize("size", SIZES)
def test_takes_a_result_a_cycle(size):
    """And some cycles for the next layer."""
    layers = [{"opcode": opcode, "blocks": 1, "pixels": 5, "out_pixels": 4, "out_base": 9,
               "out_step": 3, "out_groups": 1}
              for opcode in (Opcode.CONV, Opcode.VECTOR, Opcode.DEPTHWISE)]
    cycles, ends = check(size, layers, 0)
    gap = 2
    assert cycles["layers"] == [0, *(cycles["results"][end] + gap for end in ends[:-1])]
    begun = [0, *(end + 1 for end in ends[:-1])]
    expected = itertools.accumulate(
        (gap + ResultWriter.BEGINNING if index else ResultWriter.BEGINNING)
        if index in begun else 1 for index in range(ends[-1] + 1))
    assert cycles["results"] == list(expected)


def test_a_reset_forgets_everything():
    layer = {"opcode": Opcode.CONV, "blocks": 1, "pixels": 3, "out_base": 9, "out_step": 3,
             "out_groups": 7}
    for cut_off in (1, 2, 5, 8, 17, 18, 33):
        check((2, 4, 4, 2), [layer], cut_off, cut_off=cut_off)


@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"rows": 0}, ValueError, r"^Rows must be 1 to 64, not 0$"),
    ({"slots": 65}, ValueError, r"^Slots must be 1 to 64, not 65$"),
    ({"channels": 4.0}, TypeError, r"^Channels must be an integer, not 4\.0$"),
    ({"lanes": 5}, ValueError, r"^Lanes must be 1 to 4, not 5$"),
    ({"lanes": 3}, ValueError, r"^Channels must be a power of two times lanes \(3\), not 4$"),
    ({"channels": 6}, ValueError,
     r"^Channels must be a power of two times lanes \(2\), not 6$"),
])
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        ResultWriter(**({"rows": 2, "slots": 2, "channels": 4, "lanes": 2} | kwargs))
