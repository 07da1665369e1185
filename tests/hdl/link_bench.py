"""A board's end of the link with an engine's ports behind it, in the Amaranth simulator."""

from hdl.frames import BYTE_CYCLES
from hdl.link import LinkEndpoint
from hdl.linkformat import Operation
from scripts.framing import FrameDecoder, decoded_reply, encoded_request
from tests.hdl.bench import simulate

__all__ = ["Board"]


class Board:
    """The endpoint; some registers, of which those from 0x20 on do not exist; both streams.

    Members
    -------
    registers, written : dict, list
        Their values by offset; writes that were done.
    taken : list of (word, last)
        What the input stream took.
    hesitant : function of nothing to bool
        Whether the input stream does not take the next one.
    results : list of (word, last)
        What the output stream still has to give.
    """

    def __init__(self, *, hesitant=lambda: False):
        self.dut = LinkEndpoint()
        self.registers, self.written = {0x00: 0x0BAD_CAFE, 0x04: 7, 0x1C: 0x7E7D_7E7D}, []
        self.taken, self.results = [], []
        self.hesitant = hesitant
        self._decoder = FrameDecoder()
        self._replies = []

    def run(self, bench, *, cycles=200_000):
        """Run the bench, a function of the simulator's context."""
        simulate(self.dut, bench, background=[self._surroundings], cycles=cycles)

    async def ask(self, ctx, operation, sequence, body=(), *, patience=6000):
        """Send a request; return its reply: fields and body."""
        await self.send(ctx, encoded_request(operation, sequence, body))
        return await self.reply(ctx, patience=patience)

    async def open(self, ctx, sequence=0):
        """Begin a session."""
        assert (await self.ask(ctx, Operation.OPEN, sequence))[0]["status"] == 0

    async def send(self, ctx, data, *, errors=()):
        """Give bytes to the endpoint, as fast as it takes them."""
        for place, byte in enumerate(data):
            ctx.set(self.dut.i.valid, 1)
            ctx.set(self.dut.i.payload, {"data": byte, "error": place in errors})
            await ctx.tick()
            ctx.set(self.dut.i.valid, 0)
            await ctx.tick().repeat(BYTE_CYCLES - 1)

    async def reply(self, ctx, *, patience=6000):
        """The next reply; None if there is none in so many cycles."""
        for _ in range(patience):
            if self._replies:
                fields, body = self._replies.pop(0)
                return fields, body.tolist()
            await ctx.tick()
        return None

    async def _surroundings(self, ctx):
        """The line, the registers and both streams, cycle by cycle."""
        dut, bus, packets, results = (self.dut, self.dut.registers, self.dut.packets,
                                      self.dut.results)
        ctx.set(dut.o.ready, 1)
        accesses = []       # Of this cycle and the one before.
        while True:
            ready, result = not self.hesitant(), self.results[:1]
            ctx.set(packets.ready, ready)
            ctx.set(results.valid, bool(result))
            if result:
                ctx.set(results.payload, {"data": result[0][0], "last": result[0][1]})
            (_, _, has_byte, byte, reading, writing, address, word, offered, packet_word, last,
             taking) = await ctx.tick().sample(
                dut.o.valid, dut.o.payload, bus.read, bus.write, bus.address, bus.data,
                packets.valid, packets.p.data, packets.p.last, results.ready)
            if has_byte:
                self._replies += map(decoded_reply, self._decoder.feed([byte]))
            if offered and ready:
                self.taken.append((packet_word, last))
            if result and taking:
                self.results.pop(0)
            # What is written is read in the cycle after the write.
            accesses = [*accesses[-1:], (reading, writing, 4 * address)]
            self._access(ctx, bus, *accesses[0], word)

    def _access(self, ctx, bus, reading, writing, offset, word):
        """End an access of the cycle before, if there was one; else answer rubbish."""
        exists = offset < 0x20
        ctx.set(bus.error, not exists if reading or writing else 1)
        ctx.set(bus.value, self.registers.get(offset, 0) if reading else 0x5555_5555)
        if writing and exists:
            self.registers[offset] = word
            self.written.append((offset, word))
