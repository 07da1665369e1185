"""A serial line as others drive it, in the Amaranth simulator, at any speed."""

from tests.hdl.bench import PERIOD

__all__ = ["drive", "listen"]


async def drive(ctx, line, data, *, cycles, stop=1):
    """Put bytes on a line; a bit takes ``cycles``, which need not be whole."""
    for byte in data:
        for bit in [0, *(byte >> index & 1 for index in range(8)), stop]:
            ctx.set(line, bit)
            await ctx.delay(cycles * PERIOD)
        ctx.set(line, 1)


async def listen(ctx, line, count, *, divisor):
    """Return ``count`` bytes of a line, sampled in the middle of each bit."""
    data = []
    while len(data) < count:
        await ctx.tick().until(~line)
        # Pre-edge values: this is the start bit's second cycle.
        bits = []
        for index in range(10):
            await ctx.tick().repeat(divisor // 2 if index == 0 else divisor)
            bits.append(ctx.get(line))
        assert (bits[0], bits[9]) == (0, 1)
        data.append(sum(bit << index for index, bit in enumerate(bits[1:9])))
    return bytes(data)
