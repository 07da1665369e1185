# amaranth: UnusedElaboratable=no

import pytest

from hdl.singleport import HeldMemory, SinglePortMemory
from tests.hdl.bench import simulate, trace


def serve(dut, requests, *, offer, accept, writes=()):
    """Send ``requests``, numbered beside their addresses, and in the cycles in which ``offer`` is
    below zero the next one of ``writes``: (parts, address, word). Return (cycle of the request,
    cycle in which the word was taken, number, word) of each."""
    asked, given, writes = [], [], list(writes)

    async def bench(ctx):
        for cycle in range(20 * len(requests) + 200):
            kind = offer(cycle)
            offered = len(asked) < len(requests) and kind > 0
            enable, address, word = writes.pop(0) if kind < 0 and writes else (0, 0, 0)
            ctx.set(dut.write_en, enable)
            ctx.set(dut.write_address, address)
            ctx.set(dut.write_data, word)
            ctx.set(dut.i.valid, offered)
            if len(asked) < len(requests):
                ctx.set(dut.i.p.address, requests[len(asked)])
                ctx.set(dut.i.p.side, len(asked))
            willing = accept(cycle)
            ctx.set(dut.o.ready, willing)
            if ctx.get(dut.o.valid) and willing:
                given.append((asked[len(given)], cycle, ctx.get(dut.o.p.side),
                              ctx.get(dut.o.p.word)))
            if ctx.get(dut.i.valid) and ctx.get(dut.i.ready):
                asked.append(cycle)
            await ctx.tick()

    simulate(dut, bench)
    return given


@pytest.mark.parametrize(("width", "parts"), [(8, 1), (72, 3)])
def test_a_word_a_cycle_after_the_latency(width, parts):
    """And what waits stays, for as long as nothing takes it."""
    dut = HeldMemory(width=width, depth=64, parts=parts, side=16)
    written = [(1 << part, address, (address + 1) * (1 << (32 * part)))
               for address in range(50) for part in range(parts)]
    begin = len(written)

    def offer(cycle):
        return -1 if cycle < begin else 1

    given = serve(dut, range(50), offer=offer, accept=lambda _: 1, writes=written)
    assert [asked for asked, *_ in given] == list(range(begin, begin + 50))
    assert [taken - asked for asked, taken, *_ in given] == [HeldMemory.LATENCY] * 50
    late = serve(dut, range(50), offer=offer, accept=lambda cycle: cycle % 3 == 0, writes=written)
    for words in (given, late):
        assert [word for *_, word in words] == [
            sum((address + 1) << (32 * part) for part in range(parts)) for address in range(50)]


def test_large_memories_have_one_port():
    """Which the held word does not mind, as long as nothing is written."""
    dut = HeldMemory(width=8, depth=4000, side=16)
    given = serve(dut, [3999, 7], offer=lambda cycle: -1 if cycle < 2 else 1,
                  accept=lambda cycle: cycle > 20, writes=[(1, 3999, 12), (1, 7, 34)])
    assert [word for *_, word in given] == [12, 34]


def test_keeps_what_it_read_until_the_next_access():
    steps = [{"en": 1, "write": 3, "address": 5, "write_data": 0xAB},
             {"en": 1, "write": 1, "address": 5, "write_data": 0xCD},
             {"en": 1, "write": 0, "address": 5}, {"en": 0, "write": 3, "write_data": 0},
             {"en": 0, "address": 4}, {"en": 1, "write": 0, "address": 5}, {"en": 0}]
    seen = trace(SinglePortMemory(width=8, depth=8, parts=2), steps, ["read_data"])
    assert [word for word, in seen[3:]] == [0xAD, 0xAD, 0xAD, 0xAD]


@pytest.mark.parametrize(("cls", "change", "message"), [
    (SinglePortMemory, {"width": 0}, r"^Width must be 1 to 1024, not 0$"),
    (SinglePortMemory, {"depth": 65537}, r"^Depth must be 2 to 65536, not 65537$"),
    (SinglePortMemory, {"parts": 3}, r"^Parts must divide width \(8\), not 3$"),
    (HeldMemory, {"depth": 1, "side": 1}, r"^Depth must be 2 to 65536, not 1$"),
    (HeldMemory, {"parts": 2, "side": 1}, r"^Parts must be 1, or as many as there are 32 bits"),
    (HeldMemory, {"width": 64, "parts": 2, "depth": 4096, "side": 1}, r"in block RAM, not 2$"),
])
def test_bad_parameters(cls, change, message):
    with pytest.raises(ValueError, match=message):
        cls(**{"width": 8, "depth": 8} | change)
