# amaranth: UnusedElaboratable=no

import random
from collections import deque

import pytest

from hdl.memories import ActivationMemory
from hdl.reader import Route
from tests.hdl.bench import simulate

CHANNELS, DEPTH = 3, 50


def serve(requests, *, ahead, accept, family="portable", write=lambda _: False):
    """Claim a place for each of ``requests`` as soon as there is credit, and send it ``ahead``
    cycles later, or when it is taken; return the cycles of the claims, and for each route (cycle,
    codes, live) of its words.

    ``accept`` tells from the cycle number and the route whether a word is taken, and ``write``
    whether a word is written that nobody reads. The memory holds at each other address three codes
    that follow it.
    """
    dut = ActivationMemory(channels=CHANNELS, lanes=1, depth=DEPTH + 1, family=family)
    claims, words = [], {route: [] for route in Route}

    async def bench(ctx):
        for address in range(DEPTH):
            ctx.set(dut.write_en, 1)
            ctx.set(dut.write, {"address": address, "enable": 7,
                                "codes": [address + 1, address + 2, address + 3]})
            await ctx.tick()
        ctx.set(dut.write_en, 0)
        left, credit, claimed = deque(requests), 0, deque([None] * ahead)
        request = None
        ctx.set(dut.write.address, DEPTH)
        for cycle in range(100 + 20 * len(requests)):
            writing = write(cycle)
            ctx.set(dut.write_en, writing)
            ctx.set(dut.writing, writing)
            claim = bool(credit and left)
            ctx.set(dut.claim, claim)
            claimed.append(left.popleft() if claim else None)
            if claim:
                claims.append(cycle)
            request = request or claimed.popleft()
            ctx.set(dut.requests.valid, request is not None)
            if request is not None:
                ctx.set(dut.requests.payload, request)
            for route, port in zip(Route, dut.words, strict=True):
                taken = accept(cycle, route)
                ctx.set(port.ready, taken)
                if taken and ctx.get(port.valid):
                    word = ctx.get(port.payload)
                    assert word.route == route
                    words[route].append((cycle, tuple(word.codes), word.live))
            credit = ctx.get(dut.credit)
            if ctx.get(dut.requests.ready):
                request = None
            await ctx.tick()

    simulate(dut, bench)
    return claims, words


def random_requests(source, count):
    return [{"address": source.randrange(DEPTH), "inside": source.randrange(2),
             "live": source.randrange(2), "pad_code": source.randrange(256),
             "route": source.choice(list(Route))} for _ in range(count)]


@pytest.mark.parametrize("share", [1, 0.5, 0.1])
@pytest.mark.parametrize("ahead", [0, 3, 4])
@pytest.mark.parametrize("family", ["portable", "ice40"])
def test_each_route_gets_its_words_at_any_pace(share, ahead, family):
    """Also while words are written, for which one port makes requests wait."""
    seed = 41
    print(f"seed {seed}")
    source = random.Random(seed)
    requests = random_requests(source, 300)
    _, words = serve(requests, ahead=ahead, accept=lambda *_: source.random() < share,
                     family=family, write=lambda _: source.random() < 0.3)
    for route in Route:
        expected = [(tuple(request["address"] + channel for channel in (1, 2, 3))
                     if request["inside"] else 3 * (request["pad_code"],), request["live"])
                    for request in requests if request["route"] == route]
        assert [(codes, live) for _, codes, live in words[route]] == expected


@pytest.mark.parametrize("ahead", [0, 3, 4])
@pytest.mark.parametrize("family", ["portable", "ice40"])
def test_a_word_a_cycle_also_after_a_stop(ahead, family):
    """After the latency; no more places are claimed than there are."""
    requests = [request | {"route": Route.WINDOW}
                for request in random_requests(random.Random(42), 100)]
    latency = ahead + ActivationMemory.latency(family)
    claims, words = serve(requests, ahead=ahead, accept=lambda *_: True, family=family)
    assert claims == list(range(1, 101))
    assert [cycle for cycle, *_ in words[Route.WINDOW]] == list(range(1 + latency, 101 + latency))

    claims, words = serve(requests, ahead=ahead, accept=lambda cycle, _: cycle >= 60,
                          family=family)
    assert claims[:ActivationMemory.ROOM] == list(range(1, 1 + ActivationMemory.ROOM))
    assert claims[ActivationMemory.ROOM] > 60
    assert [cycle for cycle, *_ in words[Route.WINDOW]] == list(range(60, 160))


def test_routes_do_not_wait_for_each_other():
    requests = [request | {"route": Route.ARRAY if index < 10 else Route.SENDER}
                for index, request in enumerate(random_requests(random.Random(43), 20))]
    _, words = serve(requests, ahead=0,
                     accept=lambda cycle, route: route != Route.ARRAY or cycle >= 100)
    assert max(cycle for cycle, *_ in words[Route.SENDER]) < 60
    assert min(cycle for cycle, *_ in words[Route.ARRAY]) == 100


@pytest.mark.parametrize(("change", "message"), [
    ({"channels": 0}, r"^Channels must be 1 to 64, not 0$"),
    ({"lanes": 5}, r"^Lanes must be 1 to 4, not 5$"),
    ({"lanes": 3}, r"^Lanes must divide channels \(4\), not 3$"),
    ({"depth": 1}, r"^Depth must be 2 to 65536, not 1$"),
])
def test_bad_parameters(change, message):
    with pytest.raises(ValueError, match=message):
        ActivationMemory(**({"channels": 4, "lanes": 4, "depth": 16} | change))
