"""Ready/valid helpers for testbenches in the Amaranth simulator."""

import itertools
import random
from types import SimpleNamespace

from amaranth.hdl import Value

__all__ = ["bits", "get", "put", "random_gaps", "receive", "send"]


def bits(stream):
    """Return ``stream`` with its payload as a plain number, whatever its layout."""
    return SimpleNamespace(payload=Value.cast(stream.payload), valid=stream.valid,
                           ready=stream.ready)


async def put(ctx, stream, payload):
    """Transfer one payload into ``stream``."""
    ctx.set(stream.payload, payload)
    ctx.set(stream.valid, 1)
    await ctx.tick().until(stream.ready)
    ctx.set(stream.valid, 0)


async def get(ctx, stream):
    """Transfer one payload out of ``stream``."""
    ctx.set(stream.ready, 1)
    payload, = await ctx.tick().sample(stream.payload).until(stream.valid)
    ctx.set(stream.ready, 0)
    return payload


async def send(ctx, stream, payloads, *, gaps=None):
    """Send ``payloads``, idling ``next(gaps)`` cycles before each."""
    gaps = gaps or itertools.repeat(0)
    for payload in payloads:
        for _ in range(next(gaps)):
            await ctx.tick()
        await put(ctx, stream, payload)


async def receive(ctx, stream, count, *, gaps=None):
    """Receive ``count`` payloads, idling ``next(gaps)`` cycles before each."""
    gaps = gaps or itertools.repeat(0)
    payloads = []
    for _ in range(count):
        for _ in range(next(gaps)):
            await ctx.tick()
        payloads.append(await get(ctx, stream))
    return payloads


def random_gaps(seed, *, longest):
    """Yield gaps for ever: no gap in half of the cases, else up to ``longest`` cycles."""
    source = random.Random(seed)
    while True:
        yield source.choice((0, source.randint(0, longest)))
