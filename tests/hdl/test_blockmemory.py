# amaranth: UnusedElaboratable=no

import random

import pytest
from amaranth.hdl import Value
from amaranth.lib import data

from hdl.blockmemory import BlockMemory, StreamedMemory
from tests.hdl.bench import simulate


def serve(requests, *, parts=1, offer, accept, writes=(), width=8, depth=64):
    """Send ``requests``, numbered beside their addresses; return, of each word, (cycle of the
    request, cycle in which it was taken, number, word).

    ``offer`` and ``accept`` tell from the cycle number whether each end is willing. ``writes`` are
    (parts, address, word) of the first cycles; the requests begin after the last one.
    """
    number = data.StructLayout({"low": 8, "high": 8})
    dut = StreamedMemory(width=width, depth=depth, side=number, parts=parts, wide=("low",))
    asked, given = [], []

    async def bench(ctx):
        for enable, address, word in writes:
            ctx.set(dut.write_en, enable)
            ctx.set(dut.write_address, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        ctx.set(dut.write_en, 0)
        for cycle in range(20 * len(requests) + 100):
            if len(given) == len(requests):
                break
            offered = len(asked) < len(requests) and offer(cycle)
            ctx.set(dut.i.valid, offered)
            if offered:
                ctx.set(dut.i.p.address, requests[len(asked)])
                ctx.set(Value.cast(dut.i.p.side), len(asked))
            ctx.set(dut.o.ready, accept(cycle))
            if ctx.get(dut.o.valid) and accept(cycle):
                given.append((asked[len(given)], cycle, ctx.get(Value.cast(dut.o.p.side)),
                              ctx.get(dut.o.p.word)))
            if offered and ctx.get(dut.i.ready):
                asked.append(cycle)
            await ctx.tick()

    simulate(dut, bench)
    return given


@pytest.mark.parametrize("i_share", [1, 0.5, 0.1])
@pytest.mark.parametrize("o_share", [1, 0.5, 0.1])
@pytest.mark.parametrize("parts", [1, 4])
def test_each_request_gets_its_word_at_any_pace(i_share, o_share, parts):
    seed = 31
    print(f"seed {seed}")
    source = random.Random(seed)
    depth, part = 37, 2
    words = [0] * depth
    everywhere = [((1 << parts) - 1, address, source.getrandbits(parts * part))
                  for address in range(depth)]
    anywhere = [(source.getrandbits(parts), source.randrange(depth),
                 source.getrandbits(parts * part)) for _ in range(100)]
    for enable, address, word in everywhere + anywhere:
        mask = sum((enable >> index & 1) * 3 << index * part for index in range(parts))
        words[address] = words[address] & ~mask | word & mask
    requests = [source.randrange(depth) for _ in range(200)]

    given = serve(requests, parts=parts, width=parts * part, depth=depth,
                  writes=everywhere + anywhere, offer=lambda _: source.random() < i_share,
                  accept=[source.random() < o_share for _ in range(20_000)].__getitem__)

    assert [number for _, _, number, _ in given] == list(range(len(requests)))
    assert [word for *_, word in given] == [words[address] for address in requests]


def test_a_word_a_cycle_after_the_latency():
    given = serve(range(50), offer=lambda _: 1, accept=lambda _: 1)
    assert [asked for asked, *_ in given] == list(range(50))
    assert [taken for _, taken, *_ in given] == list(range(StreamedMemory.LATENCY,
                                                           50 + StreamedMemory.LATENCY))


def test_takes_as_many_as_there_is_room_for():
    """And after a stop of any length they go on one a cycle."""
    given = serve(range(60), offer=lambda _: 1, accept=lambda cycle: cycle >= 40)
    asked = [asked for asked, *_ in given]
    assert asked[:StreamedMemory.ROOM] == list(range(StreamedMemory.ROOM))
    assert asked[StreamedMemory.ROOM] > 40
    assert [taken for _, taken, *_ in given] == list(range(40, 100))


def test_a_write_can_soon_be_read():
    """The latest request that may come late enough is one that does."""
    dut = StreamedMemory(width=8, depth=16, side=1)
    words = []

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for address in range(16):
            ctx.set(dut.write_en, 1)
            ctx.set(dut.write_address, address)
            ctx.set(dut.write_data, 100 + address)
            ctx.set(dut.i.valid, address >= StreamedMemory.WRITING)
            ctx.set(dut.i.p.address, max(0, address - StreamedMemory.WRITING))
            words.append(ctx.get(dut.o.p.word))
            await ctx.tick()

    simulate(dut, bench)
    first = StreamedMemory.WRITING + StreamedMemory.LATENCY
    assert words[first:] == [100 + index for index in range(16 - first)]


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"width": 0}, ValueError, r"^Width must be 1 to 1024, not 0$"),
    ({"width": 1025}, ValueError, r"^Width must be 1 to 1024, not 1025$"),
    ({"depth": 1}, ValueError, r"^Depth must be 2 to 65536, not 1$"),
    ({"depth": 65537}, ValueError, r"^Depth must be 2 to 65536, not 65537$"),
    ({"depth": 4.0}, TypeError, r"^Depth must be an integer, not 4\.0$"),
])
def test_bad_sizes(change, error, message):
    with pytest.raises(error, match=message):
        BlockMemory(**{"width": 8, "depth": 8} | change)
    with pytest.raises(error, match=message):
        StreamedMemory(**{"width": 8, "depth": 8, "side": 1} | change)


@pytest.mark.parametrize(("parts", "message"), [
    (3, r"^Parts must divide width \(8\), not 3$"), (0, r"^Parts must be 1 to 8, not 0$"),
    (9, r"^Parts must be 1 to 8, not 9$")])
def test_bad_parts(parts, message):
    with pytest.raises(ValueError, match=message):
        StreamedMemory(width=8, depth=8, side=1, parts=parts)
