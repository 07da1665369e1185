"""cocotb bench of a :class:`sim.harness.FileHarness`; run by :mod:`sim.cosim`."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles

#: Cycles between two looks at the design.
STRIDE = 256
#: Cycles without output after which nothing more is expected, where no number is.
QUIET = 4 * STRIDE


@cocotb.test()
async def runs_to_its_end(dut):
    """All that goes in is accepted, as much as expected comes out, and nothing after that.

    The watchdog: something moves in every ``patience`` cycles.
    """
    job = json.loads(os.environ["CELOSIA_JOB"])
    Clock(dut.clk, 10, unit="ns").start()
    for cycles in job["reset_after"]:
        await reset(dut)
        await ClockCycles(dut.clk, cycles)
    await reset(dut)

    expected, names = job["counts"], job["outputs"]
    idle, before = 0, None
    while True:
        state = counts(dut, names), dut.exhausted.value, dut.inputs.value
        idle, before = (idle + STRIDE if state == before else 0), state
        if dut.exhausted.value and (state[0] == expected or (expected is None and idle >= QUIET)):
            break
        assert idle <= job["patience"], (
            f"nothing moved in {job['patience']} cycles: outputs {state[0]} of {expected}, "
            f"inputs {'all' if dut.exhausted.value else 'not all'} accepted")
        await ClockCycles(dut.clk, STRIDE)
    await ClockCycles(dut.clk, STRIDE)
    assert counts(dut, names) == state[0], "outputs went on after the last one expected"
    Path("cycles.json").write_text(json.dumps(dut.cycles.value.to_unsigned()), encoding="utf-8")


def counts(dut, names):
    return {name: getattr(dut, f"count_{name}").value.to_unsigned() for name in names}


async def reset(dut):
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
