"""The rule of every stream: what is offered stays until it is taken."""

from amaranth.hdl import Assert, Assume, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In

__all__ = ["Handshakes", "Properties", "steady"]


def steady(m, name, port, rule, *, unless=0):
    """State ``rule`` (Assert or Assume) of a stream: valid and payload stay while not ready.

    ``unless`` frees the cycle that follows.
    """
    payload = Value.cast(port.payload)
    waiting = Signal(name=f"{name}_waiting")
    offered = Signal(len(payload), name=f"{name}_offered")
    m.d.sync += [waiting.eq(port.valid & ~port.ready & ~unless), offered.eq(payload)]
    with m.If(waiting):
        m.d.comb += rule(port.valid & (payload == offered))


class Properties(wiring.Component):
    """What is to be proved of ``component``, whose inputs are free unless ``state`` assumes.

    Members
    -------
    choice : ``In(1)``
        Free, for properties of one out of many.
    NAME : ``In``
        The component's inputs.
    """

    def __init__(self, component):
        self.component = component
        self.free = {"__".join(map(str, path)): value
                     for path, member, value in component.signature.flatten(component)
                     if member.flow is In}
        super().__init__({
            "choice": In(1),
            **{name: In(len(Value.cast(value))) for name, value in self.free.items()},
        })

    def elaborate(self, _platform):
        m = Module()
        m.submodules.component = self.component
        m.d.comb += [Value.cast(value).eq(getattr(self, name))
                     for name, value in self.free.items()]
        self.state(m, self.component)
        return m

    def state(self, m, dut):
        """Add assumptions and assertions."""
        raise NotImplementedError


class Handshakes(Properties):
    """All output streams keep to the rule if all input streams do."""

    def state(self, m, dut):
        for name, member in self.component.signature.members.items():
            if member.is_signature and isinstance(member.signature, stream.Signature):
                steady(m, name, getattr(dut, name), Assume if member.flow is In else Assert)
