"""Properties of :class:`hdl.axi.AxiLitePort`."""

from types import SimpleNamespace

from amaranth.hdl import Assert, Assume, Cat, Mux, Signal

from hdl.registerbank import RegisterBus
from tests.formal.handshake import Properties, steady

__all__ = ["AxiLiteEffects", "AxiLiteRules"]


#: Channels, their payloads and whether the manager drives them.
CHANNELS = {"aw": (("addr", "prot"), True), "w": (("data", "strb"), True), "b": (("resp",), False),
            "ar": (("addr", "prot"), True), "r": (("data", "resp"), False)}


def channels(axi):
    """Return the channels as streams, by name."""
    return {name: SimpleNamespace(
        payload=Cat(getattr(axi, f"{name}{part}") for part in parts),
        valid=getattr(axi, f"{name}valid"), ready=getattr(axi, f"{name}ready"))
        for name, (parts, _) in CHANNELS.items()}


def ago(m, name, event):
    """Return whether something happened 1, 2, … cycles ago, up to the cycles from an access to its
    response."""
    past = Signal(RegisterBus.LATENCY + 1, name=name)
    m.d.sync += past.eq(Cat(event, past))
    return past


def transfer(channel):
    return channel.valid & channel.ready


class AxiLiteRules(Properties):
    """Handshakes, one response for each access, and none kept waiting."""

    def state(self, m, dut):
        axi, bus = dut.outer, dut.bus
        ports = channels(axi)
        for name, (_, manager) in CHANNELS.items():
            steady(m, name, ports[name], Assume if manager else Assert)

        # Accepted and not answered: at most one in the channel's register, one being answered.
        for name, response in (("aw", "b"), ("w", "b"), ("ar", "r")):
            unanswered = Signal(2, name=f"{name}_unanswered")
            m.d.sync += unanswered.eq(unanswered + transfer(ports[name])
                                      - transfer(ports[response]))
            m.d.comb += Assert(unanswered == ~ports[name].ready + ports[response].valid)

        # Responses come so many cycles after the access, and say what the bus said.
        for response, access in (("b", bus.write), ("r", bus.read)):
            port = ports[response]
            accessed = ago(m, f"{response}_accessed", access)
            failed, kept = (Signal(name=f"{response}_{name}") for name in ("failed", "kept"))
            m.d.sync += [failed.eq(bus.error), kept.eq(port.valid & ~port.ready)]
            m.d.comb += Assert(port.valid == (accessed[-1] | kept))
            with m.If(accessed[-1]):
                m.d.comb += Assert(getattr(axi, f"{response}resp") == Mux(failed, 2, 0))
        self._promptness(m, axi, bus)

    def _promptness(self, m, axi, bus):
        """One access at a time, and at once; a complete write first, but once before a read."""
        begins = bus.read | bus.write
        under_way = begins | ago(m, "begun", begins)[:-1].any()
        writable = ~axi.awready & ~axi.wready & ~axi.bvalid
        readable = ~axi.arready & ~axi.rvalid
        write_due, read_due, was_under_way, passed_over = (Signal(name=name) for name in (
            "write_due", "read_due", "was_under_way", "passed_over"))
        m.d.sync += [write_due.eq(writable & ~under_way), was_under_way.eq(under_way),
                     read_due.eq(readable & ~under_way)]
        with m.If(begins):
            m.d.sync += passed_over.eq(bus.write & read_due)
        m.d.comb += [
            Assert(~(bus.read & bus.write)),
            Assert(~(begins & was_under_way)),
            Assert(bus.write == write_due),
            Assert(bus.read == (read_due & ~write_due)),
            # The read that has been passed over is still there, and its turn comes.
            Assert(~passed_over | ~axi.arready),
            Assert(~passed_over | under_way | (readable & ~writable)),
            Assert(~(passed_over & bus.write)),
        ]


class AxiLiteEffects(Properties):
    """Accesses have the address, data and strobes that came last, and answers their value."""

    def state(self, m, dut):
        axi, bus = dut.outer, dut.bus
        address, read_address = Signal.like(axi.awaddr), Signal.like(axi.araddr)
        data, strobe = Signal(32), Signal(4)
        value, read = Signal(32), ago(m, "read", bus.read)[-1]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += address.eq(axi.awaddr)
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [data.eq(axi.wdata), strobe.eq(axi.wstrb)]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += read_address.eq(axi.araddr)
        m.d.sync += value.eq(bus.value)
        with m.If(bus.write):
            m.d.comb += Assert((bus.address == address[2:]) & (bus.data == data)
                               & (bus.strobe == strobe))
        with m.If(bus.read):
            m.d.comb += Assert(bus.address == read_address[2:])
        with m.If(read):
            m.d.comb += Assert(axi.rdata == value)
