"""Runs layers through a window unit in the Amaranth simulator, and says what should come out."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import ResetInserter, Signal

from hdl.isa import Instruction
from hdl.memories import FetchedWord
from hdl.operands import window_steps
from hdl.reader import Route
from sim.streams import bits, get, send
from tests.hdl.bench import simulate, watched_groups

__all__ = ["Layer", "Run", "random_layer", "run", "schedule"]


@dataclass(frozen=True)
class Layer:
    """A depthwise layer and its padded input.

    Parameters
    ----------
    codes : int8 or uint8 array, shape (blocks, frames, height, width, channels)
    weights : int8 array, shape (blocks, 3, 3, channels)
    strides : (int, int)
        Of rows and of columns.
    rows : int
        Of the array: each block's words are a multiple of it, the last ones not live.
    """

    codes: np.ndarray
    weights: np.ndarray
    strides: tuple[int, int]
    rows: int = 1

    @property
    def sums(self):
        """int64, shape (blocks, frames, out height, out width, channels)."""
        unsigned = self.codes.dtype == np.uint8
        codes = self.codes.astype(np.int64) - 128 * unsigned
        height, width = codes.shape[2:4]
        return sum(codes[:, :, ky:height - 2 + ky:self.strides[0],
                         kx:width - 2 + kx:self.strides[1]]
                   * self.weights[:, None, None, None, ky, kx].astype(np.int64)
                   for ky in range(3) for kx in range(3))

    @property
    def completes(self):
        """Whether each word completes the window of an output pixel, for each block."""
        shape = self.codes.shape[:4]
        words = np.zeros(shape, bool)
        words[:, :, 2::self.strides[0], 2::self.strides[1]] = True
        return words.reshape(len(words), -1)

    @property
    def instruction(self):
        blocks, frames, height, width, _ = self.codes.shape
        return {"blocks": blocks - 1, "frames": frames - 1, "out_height": height - 1,
                "out_width": width - 1, "window_stride_y": self.strides[0],
                "window_stride_x": self.strides[1],
                "unsigned": int(self.codes.dtype == np.uint8),
                "out_pixels": int(np.prod(self.sums.shape[1:4])) - 1}

    @property
    def live(self):
        """Whether each of the words is."""
        blocks = len(self.codes)
        words = np.ones((blocks, self.codes[0, ..., 0].size), bool)
        return np.pad(words, ((0, 0), (0, -words.shape[1] % self.rows))).ravel()

    @property
    def words(self):
        """Payloads; those that are not live hold something."""
        channels = self.codes.shape[-1]
        layout = FetchedWord(channels=channels)
        codes = iter(self.codes.view(np.uint8).reshape(-1, channels).tolist())
        return [layout.const({"codes": next(codes) if live else [0x5A] * channels,
                              "route": Route.WINDOW, "live": int(live)}).as_bits()
                for live in self.live]

    def weight_words(self, columns):
        """Payloads; what fills them up is not zero."""
        blocks, _, _, channels = self.weights.shape
        weights = self.weights.view(np.uint8).reshape(blocks, -1)
        size = window_steps(columns) * channels * columns
        padded = np.pad(weights, ((0, 0), (0, size - weights.shape[1])), constant_values=0xA5)
        return [int.from_bytes(word.tobytes(), "little") for word in padded.reshape(-1, columns)]

    def groups(self, lanes):
        """The (sums, slot, renew) that should come out."""
        channels = self.codes.shape[-1]
        return [(tuple(word[start:start + lanes].tolist()), start // lanes,
                 int(start == 0 and index == 0))
                for block in self.sums
                for index, word in enumerate(block.reshape(-1, channels))
                for start in range(0, channels, lanes)]


def random_layer(rng, *, channels, longest, **shape):
    """Return a small layer with lines up to ``longest``; ``shape`` fixes some of its features."""
    shape = {"blocks": rng.integers(1, 4), "frames": rng.integers(1, 3),
             "height": rng.integers(3, 7), "width": rng.integers(3, longest + 1),
             "strides": tuple(rng.integers(1, 4, 2).tolist()), "unsigned": rng.integers(2),
             "rows": rng.integers(1, 5)} | shape
    size = [int(shape[name]) for name in ("blocks", "frames", "height", "width")]

    def numbers(kind, *size):
        """One in five is an end of the range."""
        limits = np.iinfo(kind)
        return np.where(rng.random(size) < 0.2, rng.choice([limits.min, limits.max], size),
                        rng.integers(limits.min, limits.max + 1, size)).astype(kind)

    return Layer(numbers(np.uint8 if shape["unsigned"] else np.int8, *size, channels),
                 numbers(np.int8, size[0], 3, 3, channels), shape["strides"], int(shape["rows"]))


def schedule(dut, layers):
    """Return the cycles of all transfers of a :func:`run` without gaps, as the unit's docstring
    has them: a dictionary of lists by stream."""
    cycles = {"layers": [], "words": [], "weights": [], "sums": []}
    groups, number = dut.channels // dut.lanes, window_steps(dut.columns) * dut.channels
    given, left = [], []        # When pixels were counted in, and when their last groups went.
    taken = gone_on = -1        # Of the last word, and of the last live one.
    gone = before = -1          # When the last two words left the register in front.
    loaded = number             # When the weights of the next block are all there.
    cycles["weights"] += range(number)

    def room(cycle):
        return dut.DEPTH - sum(c <= cycle - 4 for c in given) + sum(
            c <= cycle - 2 for c in left) >= 4

    for layer in layers:
        start = max([gone_on + 3, left[-1] + 2]) if left else 0
        cycles["layers"].append(start)
        live = layer.live.reshape(len(layer.codes), -1)
        for completes, line in zip(layer.completes, live, strict=True):
            completes = iter(completes.tolist())
            for index, word in enumerate(line):
                taken = max(taken, before) + 1
                cycles["words"].append(taken)
                before, gone = gone, max(taken, gone) + 1
                if not word:
                    continue
                gone = max(gone, start + 2, 0 if index else loaded + 1)
                while not room(gone):
                    gone += 1
                gone_on = gone
                if index == 0:
                    cycles["weights"] += range(gone_on + 4, gone_on + 4 + number)
                    loaded = gone_on + 4 + number
                if next(completes):
                    first = max([gone_on + dut.LATENCY - 1, *(c + 1 for c in left[-1:])])
                    cycles["sums"] += range(first, first + groups)
                    given.append(gone_on)
                    left.append(first + groups - 1)
    # There are no weights after the last block's.
    del cycles["weights"][-number:]
    return cycles


@dataclass
class Run:
    """What happened: ``groups`` that came out, ``cycles`` of the transfers of each stream by name,
    and the cycle in which ``wrong`` was first seen, or None."""

    groups: list
    cycles: dict
    wrong: int | None


def run(dut, layers, *, gaps=None, changes=None, cut_off=None, count=None, background=(),
        cycles=20_000):
    """Run ``layers`` and return a :class:`Run`.

    Parameters
    ----------
    gaps : dict of iterators, optional
        Idle cycles before each payload of the streams named.
    changes : dict, optional
        Fields of the instructions that are not what they should be.
    cut_off : int, optional
        Run so many cycles first, then reset the unit and begin anew.
    count : int, optional
        Groups to wait for, by default all; then nothing must come for ``idle`` cycles.
    """
    gaps, changes = gaps or {}, changes or {}
    reset = Signal()
    payloads = {
        "layers": [Instruction().const(layer.instruction | changes).as_bits() for layer in layers],
        "words": [word for layer in layers for word in layer.words],
        "weights": [word for layer in layers for word in layer.weight_words(dut.columns)],
    }
    if count is None:
        count = sum(len(layer.groups(dut.lanes)) for layer in layers)
    streams = (*payloads, "sums")
    result = Run([], {name: [] for name in streams}, None)
    finished = []

    def producer(name):
        async def produce(ctx):
            port = bits(getattr(dut, name))
            if cut_off is not None:
                for index in range(cut_off):
                    ctx.set(port.payload, payloads[name][index % len(payloads[name])])
                    ctx.set(port.valid, 1)
                    await ctx.tick()
                ctx.set(port.valid, 0)
                await ctx.tick()
            await send(ctx, port, payloads[name], gaps=gaps.get(name))
            finished.append(name)
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
            for _ in range(next(gaps["sums"], 0) if "sums" in gaps else 0):
                await ctx.tick()
            await get(ctx, dut.sums.tag)
        while len(finished) < len(payloads):
            await ctx.tick()
        for _ in range(40):
            assert not ctx.get(dut.sums.tag.valid), "groups went on after the last one"
            await ctx.tick()

    async def observer(ctx):
        ports = [getattr(dut.sums.tag if name == "sums" else getattr(dut, name), end)
                 for name in streams for end in ("valid", "ready")]
        cycle = -1 if cut_off is None else -2 - cut_off
        async for _, _, wrong, *values in ctx.tick().sample(dut.wrong, *ports):
            cycle += 1
            if wrong and result.wrong is None and cycle >= 0:
                result.wrong = cycle
            for index, name in enumerate(streams):
                if cycle >= 0 and values[2 * index] and values[2 * index + 1]:
                    result.cycles[name].append(cycle)

    groups = watched_groups(dut.sums, found=result.groups,
                            skip=0 if cut_off is None else cut_off + 1)
    simulate(ResetInserter(reset)(dut), *map(producer, payloads), consumer,
             background=[observer, groups, *background], cycles=cycles)
    return result
