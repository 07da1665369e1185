"""Runs layers through a vector unit in the Amaranth simulator, and says what should come out."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import ResetInserter, Signal

from hdl.isa import Instruction
from hdl.memories import FetchedWord
from hdl.reader import Route
from hdl.vector import TableEntry
from sim.streams import bits, get, send
from tests.hdl.bench import simulate, watched_groups

__all__ = ["Layer", "random_layer", "run", "schedule"]

STREAMS = ("layers", "words", "tables", "sums")


@dataclass(frozen=True)
class Layer:
    """A layer and the words under its taps.

    Parameters
    ----------
    codes : int8 or uint8 array, shape (blocks, tiles, taps, rows, channels)
    live : bool array, shape (tiles, rows)
        Which pixels exist.
    maximum : bool
    table : int32 array, shape (2, 256), optional
        For even taps and for odd ones.
    """

    codes: np.ndarray
    live: np.ndarray
    maximum: bool = False
    table: np.ndarray | None = None

    @property
    def sums(self):
        """int32, shape (blocks, pixels, channels)."""
        values = self.codes.astype(np.int64)
        if self.table is not None:
            values = np.stack([self.table[tap % 2].astype(np.int64)[values[:, :, tap] & 255]
                               for tap in range(values.shape[2])], axis=2)
        combined = values.max(axis=2) if self.maximum else values.sum(axis=2)
        return combined[:, self.live].astype(np.int32)

    @property
    def instruction(self):
        blocks, tiles, taps, _, _ = self.codes.shape
        return {"blocks": blocks - 1, "tiles": tiles - 1, "last_step": taps - 1,
                "unsigned": int(self.codes.dtype == np.uint8), "maximum": int(self.maximum),
                "table": int(self.table is not None)}

    @property
    def word_lives(self):
        """Whether each of the words is live, shape (blocks, tiles, taps, rows)."""
        return np.broadcast_to(self.live[:, None], self.codes.shape[:-1])

    @property
    def words(self):
        """Payloads; those that are not live hold something."""
        channels = self.codes.shape[-1]
        layout = FetchedWord(channels=channels)
        codes = self.codes.view(np.uint8).reshape(-1, channels).tolist()
        return [layout.const({"codes": word, "route": Route.VECTOR, "live": int(live)}).as_bits()
                for word, live in zip(codes, self.word_lives.ravel(), strict=True)]

    @property
    def entries(self):
        """Payloads."""
        if self.table is None:
            return []
        return [TableEntry().const({"even": even, "odd": odd}).as_bits()
                for even, odd in self.table.T.tolist()]

    def groups(self, lanes):
        """The (sums, slot, renew) that should come out."""
        channels = self.codes.shape[-1]
        return [(tuple(word[start:start + lanes].tolist()), start // lanes,
                 int(start == 0 and pixel == 0))
                for block in self.sums for pixel, word in enumerate(block)
                for start in range(0, channels, lanes)]


def random_layer(rng, *, rows, channels, **shape):
    """Return a small layer; ``shape`` fixes some of its features.

    Of the last tile, so many rows as ``dead`` says are not live; if that is None, rows are live
    or not as it happens.
    """
    shape = {"blocks": rng.integers(1, 3), "tiles": rng.integers(1, 3), "taps": rng.integers(1, 5),
             "unsigned": rng.integers(2), "maximum": rng.integers(2), "table": False,
             "dead": rng.integers(rows)} | shape

    def numbers(kind, *size):
        """One in five is an end of the range."""
        limits = np.iinfo(kind)
        return np.where(rng.random(size) < 0.2, rng.choice([limits.min, limits.max], size),
                        rng.integers(limits.min, limits.max + 1, size)).astype(kind)

    live = np.ones((shape["tiles"], rows), bool)
    if shape["dead"] is None:
        live &= rng.random(live.shape) < 0.6
        live[rng.integers(len(live)), rng.integers(rows)] = True
    else:
        live[-1, rows - int(shape["dead"]):] = False
    codes = numbers(np.uint8 if shape["unsigned"] else np.int8, shape["blocks"], shape["tiles"],
                    shape["taps"], rows, channels)
    return Layer(codes, live, bool(shape["maximum"]),
                 numbers(np.int32, 2, 256) if shape["table"] else None)


def schedule(dut, layers):
    """Return the cycles of all transfers of a :func:`run` without gaps, as the unit's docstring
    has them: a dictionary of lists by stream."""
    cycles = {name: [] for name in STREAMS}
    start = 0                   # Of the next layer.
    taken = gone = before = -1  # Of the last word, when it was taken and when it had gone; and when
    #                             the one before that had.
    for layer in layers:
        entries = range(start + 2, start + 2 + 2 * len(layer.entries), 2)
        cycles["layers"].append(start)
        cycles["tables"] += entries
        go = max([start + 2, *(entry + 2 for entry in entries)])
        finished, reading = [], set()
        taps = layer.codes.shape[2]
        for (_, _, tap, _), live in np.ndenumerate(layer.word_lives):
            taken = max(taken, before) + 1
            cycles["words"].append(taken)
            go = max(go, taken + 1)
            for _ in range(dut.parts if live else 1):
                if live and tap:
                    reading.add(go + 3)
                if live and tap == taps - 1:
                    finished.append(go + 5)
                go += 1
            before, gone = gone, go - 1
        leave = -1
        for cycle in finished:
            leave = max(leave, cycle) + 1
            while leave in reading:
                leave += 1
            cycles["sums"].append(leave + 1)
        start = max(gone, leave + 1) + 3
    return cycles


@dataclass
class Run:
    """What happened: ``groups`` that came out, ``cycles`` of each stream's transfers, and the
    cycles of ``loading`` in which the unit was not loaded."""

    groups: list
    cycles: dict
    loading: list


def run(dut, layers, *, gaps=None, cut_off=None, cycles=30_000):
    """Run ``layers`` and return a :class:`Run`.

    Parameters
    ----------
    gaps : dict of iterators, optional
        Idle cycles before each payload of the streams named.
    cut_off : int, optional
        Run so many cycles first, then reset the unit and begin anew.
    """
    gaps = gaps or {}
    reset = Signal()
    payloads = {
        "layers": [Instruction().const(layer.instruction).as_bits() for layer in layers],
        "words": [word for layer in layers for word in layer.words],
        "tables": [entry for layer in layers for entry in layer.entries],
    }
    count = sum(len(layer.groups(dut.lanes)) for layer in layers)
    result = Run([], {name: [] for name in STREAMS}, [])

    def producer(name):
        async def produce(ctx):
            port = bits(getattr(dut, name))
            if cut_off is not None:
                await _cut(ctx, port, payloads[name], cut_off)
            await send(ctx, port, payloads[name], gaps=gaps.get(name))
        return produce

    async def consumer(ctx):
        if cut_off is not None:
            ctx.set(dut.sums.tag.ready, cut_off % 2)
            await ctx.tick().repeat(cut_off)
            ctx.set(dut.sums.tag.ready, 0)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
        for _ in range(count):
            for _ in range(next(gaps["sums"]) if "sums" in gaps else 0):
                await ctx.tick()
            await get(ctx, dut.sums.tag)
        for _ in range(40):
            assert not ctx.get(dut.sums.tag.valid), "groups went on after the last one"
            await ctx.tick()

    async def observer(ctx):
        ports = [getattr(dut.sums.tag if name == "sums" else getattr(dut, name), end)
                 for name in STREAMS for end in ("valid", "ready")]
        cycle = -1 if cut_off is None else -2 - cut_off
        async for _, _, loaded, *values in ctx.tick().sample(dut.loaded, *ports):
            cycle += 1
            if cycle >= 0 and not loaded:
                result.loading.append(cycle)
            for index, name in enumerate(STREAMS):
                if cycle >= 0 and values[2 * index] and values[2 * index + 1]:
                    result.cycles[name].append(cycle)

    groups = watched_groups(dut.sums, found=result.groups,
                            skip=0 if cut_off is None else cut_off + 1)
    simulate(ResetInserter(reset)(dut), *map(producer, payloads), consumer,
             background=[observer, groups], cycles=cycles)
    return result


async def _cut(ctx, port, payloads, cycles):
    """Offer payloads for so many cycles, as fast as they are taken, and then none for one."""
    position = 0
    for _ in range(cycles):
        if payloads:
            ctx.set(port.payload, payloads[position % len(payloads)])
            ctx.set(port.valid, 1)
        _, _, ready = await ctx.tick().sample(port.ready)
        position += ready
    ctx.set(port.valid, 0)
    await ctx.tick()
