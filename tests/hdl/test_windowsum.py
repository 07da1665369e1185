import numpy as np
import pytest

from hdl.windowsum import WindowSum
from tests.hdl.bench import simulate


def sums(kernels, windows):
    """Return what a :class:`WindowSum` gives for ``windows`` (kernels, windows, 9) of int8 codes
    under each of ``kernels`` (kernels, 9)."""
    dut = WindowSum()
    given = []

    async def bench(ctx):
        for kernel, codes in zip(kernels.tolist(), windows, strict=True):
            # New weights come with a window of zeros.
            for index, window in enumerate([[0] * 9, *codes.tolist()]):
                ctx.set(dut.weights, kernel)
                ctx.set(dut.codes, [code + 128 for code in window])
                ctx.set(dut.origin, index == 0)
                await ctx.tick()
                given.append(ctx.get(dut.o))
        for _ in range(WindowSum.LATENCY - 1):
            await ctx.tick()
            given.append(ctx.get(dut.o))

    simulate(dut, bench, cycles=100_000)
    given = np.array(given[WindowSum.LATENCY - 1:])
    return given.reshape(len(kernels), -1)[:, 1:]


def test_every_weight_with_every_code():
    """Nine codes at a time, all with the same weight."""
    weights = np.arange(-128, 128)
    codes = np.resize(np.arange(-128, 128), (29, 9))
    np.testing.assert_array_equal(
        sums(np.repeat(weights[:, None], 9, axis=1), np.repeat(codes[None], 256, axis=0)),
        weights[:, None] * codes.sum(axis=1))


@pytest.mark.parametrize("seed", range(3))
def test_each_tap_has_its_weight(seed):
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    kernels, windows = rng.integers(-128, 128, (20, 9)), rng.integers(-128, 128, (20, 20, 9))
    np.testing.assert_array_equal(sums(kernels, windows),
                                  np.einsum("kt,kwt->kw", kernels, windows))


def test_sums_reach_both_ends():
    ends = np.array([-128, 127])
    windows = np.repeat(np.array([*ends, 0, -1])[:, None], 9, axis=1)
    np.testing.assert_array_equal(
        sums(np.repeat(ends[:, None], 9, axis=1), np.stack([windows, windows])),
        9 * ends[:, None] * np.array([-128, 127, 0, -1]))
