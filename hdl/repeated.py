"""Components that a design has many of: in its Verilog, those that are alike share a module."""

from functools import wraps

from amaranth import *
from amaranth.lib.wiring import In

__all__ = ["VerilogPlatform", "repeated"]


class VerilogPlatform:
    """The platform for which a design is elaborated to become Verilog: vendors' cells may be in
    it, and one module for all components that are alike.

    Parameters
    ----------
    top : :class:`str`
        Module that the design becomes. Those of repeated components are named after it.
    """

    def __init__(self, top):
        self.top = top
        self._modules = {}
        self._waiting = []
        self._present = None

    def modules(self, component):
        """Yield each component that becomes a module, with all that is inside it, and the module's
        name: first ``component``, then whatever repeated ones the elaboration of those before
        has met. Each is to be elaborated before the next is asked for."""
        self._waiting.append((component, self.top))
        while self._waiting:
            self._present, name = self._waiting.pop(0)
            yield self._present, name

    def instance(self, component):
        """Return an instance of the module of ``component``; None if that is elaborated now."""
        if component is self._present:
            return None
        kind = type(component)
        members = component.signature.members
        parameters = tuple(sorted((name, value) for name, value in vars(component).items()
                                  if name not in members and not name.startswith("_")))
        if (kind, parameters) not in self._modules:
            others = sum(known is kind for known, _ in self._modules)
            name = f"{self.top}.{kind.__name__}{others or ''}"
            self._modules[kind, parameters] = name
            self._waiting.append((component, name))
        ports = {("i_" if member.flow == In else "o_") + "__".join(map(str, path)): value
                 for path, member, value in component.signature.flatten(component)}
        return Instance(self._modules[kind, parameters], i_clk=ClockSignal(),
                        i_rst=ResetSignal(allow_reset_less=True),
                        **ports)


def repeated(elaborate):
    """Decorate ``elaborate`` of a component of which a design has many.

    The component's type and its public attributes say all about it, its one clock domain is
    ``sync``, and none of its registers is reset, because no reset that is added to the design
    around it could reach them.
    """
    @wraps(elaborate)
    def elaborated(self, platform):
        if isinstance(platform, VerilogPlatform):
            instance = platform.instance(self)
            if instance is not None:
                return instance
        return elaborate(self, platform)
    return elaborated
