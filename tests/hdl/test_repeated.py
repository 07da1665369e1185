import gc
import re
import subprocess

import pytest
from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

import hdl.verilog
from hdl.repeated import repeated
from hdl.verilog import emit


class Delay(wiring.Component):
    """A register, and another inside a component of its own."""

    def __init__(self, width, *, reset_less=True):
        self.width = width
        self.reset_less = reset_less
        super().__init__({"i": In(data.ArrayLayout(width, 1)), "o": Out(width)})

    @repeated
    def elaborate(self, _platform):
        m = Module()
        m.submodules.inner = inner = Module()
        register = Signal(self.width, reset_less=True)
        last = Signal(self.width, reset_less=self.reset_less)
        inner.d.sync += register.eq(self.i[0])
        m.d.sync += last.eq(register)
        m.d.comb += self.o.eq(last)
        return m


class Chain(wiring.Component):
    def __init__(self, *delays):
        self.delays = delays
        super().__init__({"i": In(8), "o": Out(8)})

    def elaborate(self, _platform):
        m = Module()
        value = self.i
        for index, delay in enumerate(self.delays):
            m.submodules[f"delay{index}"] = delay
            m.d.comb += delay.i.eq(value)
            value = delay.o
        m.d.comb += self.o.eq(value)
        return m


def modules(verilog):
    return re.findall(r"^module (\\\S+|\w+)", verilog, re.MULTILINE)


def test_alike_components_share_a_module():
    verilog = emit(Chain(Delay(8), Delay(8), Delay(4), Delay(8)), name="chain")
    assert modules(verilog) == ["chain", r"\chain.Delay", r"\chain.Delay.inner", r"\chain.Delay1",
                                r"\chain.Delay1.inner"]
    instances = re.findall(r"^  (\\\S+) +(delay\d) \(", verilog, re.MULTILINE)
    assert dict(map(reversed, instances)) == {
        "delay0": r"\chain.Delay", "delay1": r"\chain.Delay", "delay2": r"\chain.Delay1",
        "delay3": r"\chain.Delay"}


def test_one_alone_is_the_top_module():
    assert modules(emit(Delay(8), name="delay")) == ["delay", r"\delay.inner"]


def test_no_register_of_theirs_is_reset():
    with pytest.raises(ValueError, match=r"^top\.Delay is repeated, so none of its registers can "
                                         r"be reset$"):
        emit(Chain(Delay(8, reset_less=False)))
    assert modules(emit(Delay(8, reset_less=False))) == ["top", r"\top.inner"]


def test_garbage_is_collected_again():
    emit(Delay(8))
    assert gc.isenabled()
    with pytest.raises(ValueError, match="is repeated"):
        emit(Chain(Delay(8, reset_less=False)))
    assert gc.isenabled()
    gc.disable()
    try:
        emit(Delay(8))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_yosys_that_fails_is_an_error(monkeypatch):
    monkeypatch.setattr(hdl.verilog, "_SCRIPT", "no such command {rtlil} {removed}\n")
    with pytest.raises(subprocess.CalledProcessError):
        emit(Delay(8))
