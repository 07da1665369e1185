"""Simulators, each built once for all tests of a process."""

from functools import cache

import pytest

from hdl.config import Configuration, load
from sim.pipeline import PipelineSimulation


def configuration(name, rows, columns, lanes, channels, **parameters):
    return Configuration(name=name, device="any", rows=rows, columns=columns, lanes=lanes,
                         channels=channels, **parameters)


CONFIGURATIONS = {config.name: config for config in (
    configuration("1x1", 1, 1, 1, 1),
    configuration("1x4", 1, 4, 2, 3, multiplier="lut"),
    configuration("4x1", 4, 1, 1, 4),
    configuration("2x3 by 1 lane", 2, 3, 1, 2),
    configuration("2x3 by 3 lanes", 2, 3, 3, 2),
    load("tiny"),
    configuration("4x4", 4, 4, 2, 4, lut_rows=1),
    load("ecp5-85f"),
    configuration("3x2 of 7 channels", 3, 2, 2, 7, multiplier="lut"),
    configuration("narrow and slow", 4, 4, 2, 4, accumulator_width=24, lane_interval=4),
)}


@cache
def simulation(config):
    return PipelineSimulation(config)


@pytest.fixture(params=CONFIGURATIONS)
def pipeline(request):
    """The simulation of every configuration in turn."""
    return simulation(CONFIGURATIONS[request.param])


@pytest.fixture
def pipeline_of():
    """A function from a configuration's name to its simulation."""
    return lambda name: simulation(CONFIGURATIONS[name])
