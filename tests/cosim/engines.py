"""Engines of several shapes, each built once for all tests of a process."""

from functools import cache

from hdl.config import Configuration
from sim.engine import EngineSimulation

__all__ = ["ENGINES", "SYNTHESISED", "engine"]


def configuration(name, rows, columns, lanes, channels, **parameters):
    # Few words, none of them a power of two: so addresses beyond are near.
    memories = {"activation_words": 1100, "weight_words": 6000, "coefficient_words": 700,
                "program_words": 1000}
    return Configuration(name=name, device="any", rows=rows, columns=columns, lanes=lanes,
                         channels=channels, **memories | parameters)


ENGINES = {config.name: config for config in (
    configuration("1x1", 1, 1, 1, 1, vector=True, window_width=12),
    configuration("2x3 of 4 channels", 2, 3, 1, 4, multiplier="lut", lane_interval=8),
    configuration("4x4 of iCE40", 4, 4, 1, 4, multiplier="ice40", lane_interval=8,
                  accumulator_width=24, lean=True, activation_words=1000),
    configuration("4x4", 4, 4, 2, 4, multiplier="ecp5", vector=True, window_width=24),
    configuration("8x8", 8, 8, 4, 8, vector=True, window_width=40),
)}

#: A small engine of each family: all units on ECP5; on iCE40 what the configurations have that
#: ship, with two elements, which share a DSP block.
SYNTHESISED = {
    "ecp5": Configuration(
        name="1x1", device="lfe5u-25f", rows=1, columns=1, lanes=1, channels=1, multiplier="ecp5",
        vector=True, window_width=12, activation_words=500, weight_words=600,
        coefficient_words=100, program_words=300),
    "ice40": Configuration(
        name="1x2", device="ice40up5k", rows=1, columns=2, lanes=1, channels=1,
        multiplier="ice40", lane_interval=8, activation_words=500, weight_words=600,
        coefficient_words=100, program_words=300),
}


@cache
def engine(name):
    """The :class:`sim.engine.EngineSimulation` of one of :data:`ENGINES`."""
    return EngineSimulation(ENGINES[name])
