# amaranth: UnusedElaboratable=no

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.isa import Instruction, Opcode, lean_widths
from hdl.operands import CoefficientReader, StoredCoefficients, TileWriter, WeightReader
from sim.streams import bits, random_gaps, send
from tests.hdl.bench import simulate

ENTRIES = 256
LAYERS = st.lists(st.fixed_dictionaries({
    "opcode": st.sampled_from([Opcode.CONV, Opcode.DEPTHWISE]),
    "last_step": st.integers(0, 3), "tiles": st.integers(0, 2), "blocks": st.integers(0, 2),
    "weight_base": st.integers(0, 40),
}), min_size=1, max_size=3)


def read(dut, layers, count, *, contents=(), gaps=None, layer_gaps=None):
    """Return ``count`` payloads with the ``window`` or ``table`` that comes with each, the cycles
    in which they came, and those in which an address was beyond the memory.

    The memory holds ``contents``; cycles are counted from when it is filled.
    """
    flag = next((getattr(dut, name) for name in ("window", "table") if hasattr(dut, name)), 0)
    beyond = getattr(dut, "beyond", 0)
    payloads, cycles, beyonds, filled = [], [], [], []

    async def offer(ctx):
        if contents:
            ctx.set(dut.write_en, 1)
        for address, word in enumerate(contents):
            ctx.set(dut.write_address, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        if contents:
            ctx.set(dut.write_en, 0)
            ctx.set(dut.write_data, 0)
        filled.append(True)
        await send(ctx, bits(dut.layers), [Instruction().const(layer).as_bits()
                                           for layer in layers], gaps=layer_gaps)

    async def take(ctx):
        while not filled:
            await ctx.tick()
        while len(payloads) < count:
            for _ in range(next(gaps) if gaps else 0):
                await ctx.tick()
            ctx.set(dut.o.ready, 1)
            payloads.append(await ctx.tick().sample(dut.o.payload, flag).until(dut.o.valid))
            ctx.set(dut.o.ready, 0)
        for _ in range(5):
            assert not ctx.get(dut.o.valid), "it went on after the last one"
            await ctx.tick()

    async def observe(ctx):
        cycle = -1
        async for _, _, taken, too_far in ctx.tick().sample(dut.o.valid & dut.o.ready, beyond):
            if not filled:
                continue
            cycle += 1
            if taken:
                cycles.append(cycle)
            if too_far:
                beyonds.append(cycle)

    simulate(dut, offer, take, background=[observe])
    return payloads, cycles, beyonds


def in_a_row(cycles, sizes):
    """Whether the ``sizes`` of runs without a gap are those of ``cycles``."""
    cycles = iter(cycles)
    runs = [list(itertools.islice(cycles, size)) for size in sizes]
    return all(run == list(range(run[0], run[0] + len(run))) for run in runs)


def weight_addresses(layer, columns, channels):
    """Addresses of a layer's weight words, in order."""
    address = layer["weight_base"]
    for _ in range(layer["blocks"] + 1):
        if layer["opcode"] == Opcode.DEPTHWISE:
            # Nine weights for each channel, in words of `columns`, filled up to whole steps.
            words = next(size for size in itertools.count(channels, channels)
                         if size * columns >= 9 * channels)
            tiles = 1
        else:
            words, tiles = (layer["last_step"] + 1) * channels, layer["tiles"] + 1
        for _ in range(tiles):
            yield from range(address, address + words)
        address += words


@settings(max_examples=30, deadline=None)
@given(layers=LAYERS, columns=st.sampled_from([1, 4, 8, 9]), channels=st.integers(1, 3),
       seed=st.integers(0, 999), pause=st.sampled_from([0, 4]))
def test_weights_in_order(layers, columns, channels, seed, pause):
    """Once for each tile, or once in all for the window unit, at any pace."""
    expected = [(address, layer["opcode"] == Opcode.DEPTHWISE) for layer in layers
                for address in weight_addresses(layer, columns, channels)]
    source = random.Random(seed)
    contents = [source.getrandbits(8 * columns) for _ in range(200)]
    dut = WeightReader(columns=columns, channels=channels, depth=200)
    words, cycles, beyonds = read(dut, layers, len(expected), contents=contents,
                                  gaps=random_gaps(seed, longest=pause),
                                  layer_gaps=random_gaps(seed + 1, longest=pause))
    assert [(bytes(word), window) for word, window in words] == [
        (contents[address].to_bytes(columns, "little"), window) for address, window in expected]
    assert not beyonds
    if not pause:
        assert in_a_row(cycles, [len(list(weight_addresses(layer, columns, channels)))
                                 for layer in layers])


@pytest.mark.parametrize(("base", "blocks", "expected"), [
    (4, 1, 0), (5, 1, 1), (15, 0, 5), (16, 0, 6), (0xFFFF, 0, 6), (0xFFFE, 1, 12)])
def test_weights_beyond_the_memory(base, blocks, expected):
    """Addresses do not wrap; each that is beyond is told of."""
    layer = {"opcode": Opcode.CONV, "weight_base": base, "blocks": blocks, "last_step": 2}
    dut = WeightReader(columns=2, channels=2, depth=16)
    _, _, beyonds = read(dut, [layer], 6 * (blocks + 1), contents=range(16))
    assert len(beyonds) == expected


COEFFICIENT_LAYERS = st.lists(st.fixed_dictionaries({
    "opcode": st.sampled_from([Opcode.CONV, Opcode.DEPTHWISE, Opcode.VECTOR, Opcode.VECTOR]),
    "blocks": st.integers(0, 2), "coefficient_base": st.integers(0, 30),
    "table": st.integers(0, 1), "zero": st.integers(-256, 255), "low": st.integers(-256, 255),
    "high": st.integers(-256, 255),
}), min_size=1, max_size=3)


def record_addresses(layer, columns, channels):
    """(address, is one of a table, ends a set) of a layer's records, in order."""
    address = layer["coefficient_base"]
    if layer["opcode"] == Opcode.VECTOR and layer["table"]:
        yield from ((address + index, True, None) for index in range(ENTRIES))
        address += ENTRIES
    size = columns if layer["opcode"] == Opcode.CONV else channels
    for index in range((layer["blocks"] + 1) * size):
        yield address + index, False, index % size == size - 1


@settings(max_examples=20, deadline=None)
@given(layers=COEFFICIENT_LAYERS, columns=st.integers(1, 4), channels=st.integers(1, 4),
       seed=st.integers(0, 999), pause=st.sampled_from([0, 2]))
def test_coefficients_in_order(layers, columns, channels, seed, pause):
    """Those of the tables, if any, then of each channel once, with what is the layer's."""
    expected = [(layer, *each) for layer in layers
                for each in record_addresses(layer, columns, channels)]
    source = random.Random(seed)
    width = StoredCoefficients().size
    contents = [source.getrandbits(width) for _ in range(310)]
    dut = CoefficientReader(columns=columns, channels=channels, depth=310)
    records, cycles, beyonds = read(dut, layers, len(expected), contents=contents,
                                    gaps=random_gaps(seed, longest=pause),
                                    layer_gaps=random_gaps(seed + 1, longest=pause))
    for (record, table), (layer, address, of_table, last) in zip(records, expected, strict=True):
        assert table == of_table
        stored = contents[address]
        assert (record.bias % 2**32, record.multiplier % 2**32) == (
            stored % 2**32, stored >> 32 & 0xFFFF_FFFF)
        if not of_table:
            assert (record.shift, record.rounding, record.last) == (
                stored >> 64 & 63, stored >> 70, last)
            assert [getattr(record, name) for name in ("zero", "low", "high")] == [
                layer[name] for name in ("zero", "low", "high")]
    assert not beyonds
    if not pause:
        assert in_a_row(cycles, [len(list(record_addresses(layer, columns, channels)))
                                 for layer in layers])


@settings(max_examples=30, deadline=None)
@given(layers=st.lists(st.fixed_dictionaries({
    "last_step": st.integers(0, 65535), "tiles": st.integers(0, 4), "blocks": st.integers(0, 3),
    "unsigned": st.integers(0, 1)}), min_size=1, max_size=3), seed=st.integers(0, 999),
    pause=st.sampled_from([0, 4]))
def test_tiles_in_order(layers, seed, pause):
    """The first of each block renews the coefficients."""
    expected = [(layer["last_step"], int(tile == 0), layer["unsigned"]) for layer in layers
                for _ in range(layer["blocks"] + 1) for tile in range(layer["tiles"] + 1)]
    tiles, cycles, _ = read(TileWriter(), layers, len(expected),
                            gaps=random_gaps(seed, longest=pause),
                            layer_gaps=random_gaps(seed + 1, longest=pause))
    assert [(tile.last_step, tile.renew, tile.unsigned) for tile, _ in tiles] == expected
    if not pause:
        assert in_a_row(cycles, [(layer["blocks"] + 1) * (layer["tiles"] + 1)
                                 for layer in layers])


@pytest.mark.parametrize("share", [0.3, 1])
@pytest.mark.parametrize("seed", range(5))
def test_tiles_of_a_lean_engine(seed, share):
    """The same, and none after the last one of a layer, which is accepted only then."""
    source = random.Random(seed)
    layers = [(source.randrange(5), source.randrange(4)) for _ in range(4)]
    dut = TileWriter(Instruction(lean_widths(activation_words=64, weight_words=64,
                                             coefficient_words=64)))
    renewed, accepted = [], []

    async def bench(ctx):
        ctx.set(dut.layers.valid, 1)
        for _ in range(600):
            if len(accepted) == len(layers):
                return
            tiles, blocks = layers[len(accepted)]
            ctx.set(dut.layers.payload, {"tiles": tiles, "blocks": blocks})
            ctx.set(dut.o.ready, source.random() < share)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                renewed.append(ctx.get(dut.o.p.renew))
            if ctx.get(dut.layers.ready):
                accepted.append(len(renewed))
            await ctx.tick()

    simulate(dut, bench)
    counts = [(tiles + 1) * (blocks + 1) for tiles, blocks in layers]
    assert accepted == list(itertools.accumulate(counts))
    assert renewed == [int(tile == 0) for tiles, blocks in layers
                       for _ in range(blocks + 1) for tile in range(tiles + 1)]


@pytest.mark.parametrize("reader", [WeightReader, CoefficientReader])
@pytest.mark.parametrize(("kwargs", "error", "message"), [
    ({"columns": 0}, ValueError, r"^Columns must be 1 to 64, not 0$"),
    ({"channels": 65}, ValueError, r"^Channels must be 1 to 64, not 65$"),
    ({"depth": 1}, ValueError, r"^Depth must be 2 to 65536, not 1$"),
    ({"depth": 4.0}, TypeError, r"^Depth must be an integer, not 4\.0$"),
])
def test_bad_parameters(reader, kwargs, error, message):
    with pytest.raises(error, match=message):
        reader(**({"columns": 4, "channels": 4, "depth": 16} | kwargs))
