"""Properties of :class:`hdl.axi.AxiLitePort`."""

from types import SimpleNamespace

from amaranth.hdl import Assert, Assume, Cat, Mux, Signal

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

        # Responses come from accesses of the cycle before, and say what the bus said.
        for response, access in (("b", bus.write), ("r", bus.read)):
            port = ports[response]
            accessed, failed, kept = (Signal(name=f"{response}_{name}")
                                      for name in ("accessed", "failed", "kept"))
            m.d.sync += [accessed.eq(access), failed.eq(bus.error),
                         kept.eq(port.valid & ~port.ready)]
            m.d.comb += Assert(port.valid == (accessed | kept))
            with m.If(accessed):
                m.d.comb += Assert(getattr(axi, f"{response}resp") == Mux(failed, 2, 0))
        self._promptness(m, axi, bus)

    def _promptness(self, m, axi, bus):
        """A complete write goes to the bus at once, a read within two cycles."""
        m.d.comb += [
            Assert(~(bus.read & bus.write)),
            Assert(bus.write == (~axi.awready & ~axi.wready & (~axi.bvalid | axi.bready))),
        ]
        passed_over = Signal()
        able = ~axi.arready & (~axi.rvalid | axi.rready)
        m.d.sync += passed_over.eq(able & ~bus.read)
        m.d.comb += Assert(~passed_over | ~able | bus.read)


class AxiLiteEffects(Properties):
    """Accesses have the address, data and strobes that came last, and answers their value."""

    def state(self, m, dut):
        axi, bus = dut.outer, dut.bus
        address, read_address = Signal.like(axi.awaddr), Signal.like(axi.araddr)
        data, strobe = Signal(32), Signal(4)
        value, read = Signal(32), Signal()
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += address.eq(axi.awaddr)
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [data.eq(axi.wdata), strobe.eq(axi.wstrb)]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += read_address.eq(axi.araddr)
        m.d.sync += [value.eq(bus.value), read.eq(bus.read)]
        with m.If(bus.write):
            m.d.comb += Assert((bus.address == address[2:]) & (bus.data == data)
                               & (bus.strobe == strobe))
        with m.If(bus.read):
            m.d.comb += Assert(bus.address == read_address[2:])
        with m.If(read):
            m.d.comb += Assert(axi.rdata == value)
