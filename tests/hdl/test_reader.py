# amaranth: UnusedElaboratable=no

import itertools
import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.isa import Instruction, Opcode
from hdl.reader import ActivationReader, Route
from sim.streams import bits, put, random_gaps
from tests.hdl.bench import simulate

ADDRESSES = st.integers(0, 0xFFFF)
SMALL = st.integers(0, 3)
LAYERS = st.fixed_dictionaries({
    "opcode": st.sampled_from([Opcode.CONV, Opcode.SEND, Opcode.DEPTHWISE, Opcode.VECTOR]),
    "pad_code": st.integers(0, 255), "base": ADDRESSES, "x_step": ADDRESSES, "y_step": ADDRESSES,
    "frame_step": ADDRESSES, "block_step": ADDRESSES, "tap_x_step": ADDRESSES,
    "tap_y_step": ADDRESSES, "in_height": st.integers(1, 5), "in_width": st.integers(1, 5),
    "pad_top": SMALL, "pad_left": SMALL, "stride_y": SMALL, "stride_x": SMALL,
    "dilation_y": SMALL, "dilation_x": SMALL, "out_height": st.integers(0, 2), "out_width": SMALL,
    "frames": st.integers(0, 1), "kernel_height": st.integers(0, 2),
    "kernel_width": st.integers(0, 2), "tap_words": st.integers(0, 2), "blocks": st.integers(0, 2),
})
ROUTES = {Opcode.CONV: Route.ARRAY, Opcode.SEND: Route.SENDER, Opcode.DEPTHWISE: Route.WINDOW,
          Opcode.VECTOR: Route.VECTOR}


def counted(layer, rows):
    """``layer`` with the counts that its own loops make."""
    pixels = (layer["frames"] + 1) * (layer["out_height"] + 1) * (layer["out_width"] + 1)
    words = ((layer["kernel_height"] + 1) * (layer["kernel_width"] + 1)
             * (layer["tap_words"] + 1))
    return layer | {"pixels": pixels - 1, "last_step": words - 1, "tiles": -(-pixels // rows) - 1}


def requests(layer, rows):
    """(address, inside) of all requests, in order, or None for rows that fill up a tile."""
    pixels = list(itertools.product(range(layer["frames"] + 1), range(layer["out_height"] + 1),
                                    range(layer["out_width"] + 1)))
    pixels += [None] * (-len(pixels) % rows)
    taps = list(itertools.product(range(layer["kernel_height"] + 1),
                                  range(layer["kernel_width"] + 1), range(layer["tap_words"] + 1)))
    for block in range(layer["blocks"] + 1):
        for tile in range(0, len(pixels), rows):
            for (ky, kx, word), pixel in itertools.product(taps, pixels[tile:tile + rows]):
                if pixel is None:
                    yield None
                    continue
                frame, oy, ox = pixel
                address = (layer["base"] + block * layer["block_step"]
                           + frame * layer["frame_step"] + oy * layer["y_step"]
                           + ox * layer["x_step"] + ky * layer["tap_y_step"]
                           + kx * layer["tap_x_step"] + word)
                y = oy * layer["stride_y"] - layer["pad_top"] + ky * layer["dilation_y"]
                x = ox * layer["stride_x"] - layer["pad_left"] + kx * layer["dilation_x"]
                yield (address % 2**16,
                       0 <= y < layer["in_height"] and 0 <= x < layer["in_width"])


def read(rows, layers, *, count, layer_gaps=None, gaps=None, cut_off=None):
    """Return the first ``count`` requests for ``layers``, the cycle of each, the cycles in which
    layers were accepted, and whether anything was wrong at the end.

    A few cycles of ``cut_off``, if any, come first, and a reset.
    """
    dut, reset = ActivationReader(rows=rows), Signal()
    taken, cycles, accepted, wrong = [], [], [], []

    async def offer(ctx):
        port = bits(dut.layers)
        payloads = [Instruction().const(layer).as_bits() for layer in layers]
        if cut_off:
            ctx.set(port.payload, payloads[0])
            ctx.set(port.valid, 1)
            await ctx.tick().repeat(cut_off)
            ctx.set(port.valid, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
        for payload in payloads:
            for _ in range(next(layer_gaps) if layer_gaps else 0):
                await ctx.tick()
            await put(ctx, port, payload)

    async def take(ctx):
        if cut_off:
            ctx.set(dut.requests.ready, 1)
            await ctx.tick().repeat(cut_off + 1)
            ctx.set(dut.requests.ready, 0)
        while len(taken) < count:
            for _ in range(next(gaps) if gaps else 0):
                await ctx.tick()
            ctx.set(dut.requests.ready, 1)
            request, = await ctx.tick().sample(dut.requests.payload).until(dut.requests.valid)
            ctx.set(dut.requests.ready, 0)
            taken.append(request)
        await ctx.tick().repeat(3)
        wrong.append(ctx.get(dut.wrong))
        assert wrong[0] or not ctx.get(dut.requests.valid), "requests went on after the last one"

    async def observe(ctx):
        cycle = -1 - (cut_off + 1 if cut_off else 0)
        async for _, _, *seen in ctx.tick().sample(dut.layers.valid & dut.layers.ready,
                                                   dut.requests.valid & dut.requests.ready):
            cycle += 1
            for happened, when in zip(seen, (accepted, cycles), strict=True):
                if happened and cycle >= 0:
                    when.append(cycle)

    simulate(ResetInserter(reset)(dut), offer, take, background=[observe], cycles=50_000)
    return taken, cycles, accepted, wrong[0]


def check(rows, layers, **options):
    """Requests for ``layers`` are those of their loops; return when they came, and the layers."""
    expected = [(layer, each) for layer in layers for each in requests(layer, rows)]
    taken, cycles, accepted, wrong = read(rows, layers, count=len(expected), **options)
    for request, (layer, each) in zip(taken, expected, strict=True):
        assert request.live == (each is not None)
        assert Route(request.route) == ROUTES[layer["opcode"]]
        assert request.pad_code == layer["pad_code"]
        if each is not None:
            assert (request.address, bool(request.inside)) == each
    assert not wrong
    return cycles, accepted


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 5), layers=st.lists(LAYERS, min_size=1, max_size=2),
       seed=st.integers(0, 999), pause=st.sampled_from([0, 3]))
def test_requests_are_those_of_nested_loops(rows, layers, seed, pause):
    layers = [counted(layer, rows) for layer in layers]
    check(rows, layers, gaps=random_gaps(seed, longest=pause),
          layer_gaps=random_gaps(seed + 1, longest=pause))


def example(**changes):
    """A layer of 9 pixels with padding, 6 words of each."""
    return {"opcode": Opcode.CONV, "pad_code": 7, "base": 90, "x_step": 2, "y_step": 6,
            "frame_step": 0, "block_step": 0, "tap_x_step": 2, "tap_y_step": 6, "in_height": 3,
            "in_width": 3, "pad_top": 1, "pad_left": 1, "stride_y": 1, "stride_x": 1,
            "dilation_y": 1, "dilation_x": 1, "out_height": 2, "out_width": 2, "frames": 0,
            "kernel_height": 2, "kernel_width": 0, "tap_words": 1, "blocks": 1} | changes


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_a_request_leaves_every_cycle(rows):
    """The first one does after the latency, and the last one of a layer has begun when the next
    layer is accepted."""
    layers = [counted(example(), rows), counted(example(frames=1), rows), counted(example(), rows)]
    cycles, accepted = check(rows, layers)
    sizes = [len(list(requests(layer, rows))) for layer in layers]
    assert accepted[0] == 0
    for index, size in enumerate(sizes):
        first = sum(sizes[:index])
        begin = accepted[index] + ActivationReader.LATENCY
        assert cycles[first:first + size] == list(range(begin, begin + size))
    between = [later - before for before, later in itertools.pairwise(accepted)]
    assert between == [size + 2 for size in sizes[:-1]]


@pytest.mark.parametrize("share", [1, 0.5, 0.1])
def test_is_idle_when_all_requests_have_left(share):
    """From the cycle after the last one on, until a layer is accepted; whoever takes them."""
    dut = ActivationReader(rows=2)
    layer = counted(example(), 2)
    count = len(list(requests(layer, 2)))
    source = random.Random(1)
    left = []

    async def bench(ctx):
        assert ctx.get(dut.idle)
        await put(ctx, bits(dut.layers), Instruction().const(layer).as_bits())
        while len(left) < count:
            assert not ctx.get(dut.idle)
            ctx.set(dut.requests.ready, source.random() < share)
            if ctx.get(dut.requests.valid & dut.requests.ready):
                left.append(1)
            await ctx.tick()
        assert ctx.get(dut.idle)

    simulate(dut, bench)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_requests_begin_with_credit_only(rows):
    """In the cycle after it was given; each leaves, in order, as long after as all others."""
    layer = counted(example(), rows)
    expected = list(requests(layer, rows))
    dut = ActivationReader(rows=rows)
    source = random.Random(2)
    given, begun, left, taken = [], [], [], []

    async def bench(ctx):
        ctx.set(dut.requests.ready, 1)
        ctx.set(bits(dut.layers).payload, Instruction().const(layer).as_bits())
        ctx.set(dut.layers.valid, 1)
        for cycle in range(8 * len(expected)):
            given.append(source.randrange(2))
            ctx.set(dut.credit, given[-1])
            if ctx.get(dut.begun):
                begun.append(cycle)
            if ctx.get(dut.requests.valid):
                left.append(cycle)
                taken.append(ctx.get(dut.requests.payload))
            await ctx.tick()
            ctx.set(dut.layers.valid, 0)

    simulate(dut, bench)
    first = next(cycle for cycle in range(1, len(given)) if given[cycle])
    able = [cycle + 1 for cycle in range(first, len(given)) if given[cycle]]
    assert begun == able[:len(expected)]
    assert [later - before for before, later in zip(begun, left, strict=True)] == [
        ActivationReader.LATENCY - 2] * len(expected)
    assert [(request.address, bool(request.inside)) if request.live else None
            for request in taken] == expected


def test_a_reset_forgets_everything():
    for cut_off in (1, 2, 3, 5, 6, 11, 20, 61, 62, 63, 64):
        check(2, [counted(example(), 2)], cut_off=cut_off)


@pytest.mark.parametrize("changes", [
    {"last_step": 4}, {"last_step": 6}, {"last_step": 0}, {"last_step": 65535},
    {"pixels": 7}, {"pixels": 9}, {"pixels": 0}, {"pixels": 2**20 - 1},
    {"tiles": 1}, {"tiles": 3}, {"tiles": 0},
    {"tap_words": 2}, {"kernel_width": 1}, {"kernel_height": 1},
    {"out_width": 1}, {"out_width": 3}, {"out_height": 3}, {"frames": 1},
], ids=str)
@pytest.mark.parametrize("blocks", [0, 1])
def test_counts_that_contradict_each_other(changes, blocks):
    """They are found out in the first block."""
    layer = counted(example(blocks=blocks), 4) | changes
    walk = counted(layer, 4)
    tiles, steps = (min(layer[name], walk[name]) + 1 for name in ("tiles", "last_step"))
    *_, wrong = read(4, [layer], count=tiles * steps * 4)
    assert wrong


@pytest.mark.parametrize(("rows", "error", "message"), [
    (0, ValueError, r"^Rows must be 1 to 64, not 0$"),
    (65, ValueError, r"^Rows must be 1 to 64, not 65$"),
    (2.0, TypeError, r"^Rows must be an integer, not 2\.0$"),
])
def test_bad_rows(rows, error, message):
    with pytest.raises(error, match=message):
        ActivationReader(rows=rows)
