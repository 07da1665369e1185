"""What synthesis makes of an engine does what the engine does."""

import pytest

from hdl.top import AxiEngine
from sim.bench import run_bench
from tests.cosim.engines import SYNTHESISED
from tests.cosim.netlist import netlist_of


@pytest.mark.parametrize("family", SYNTHESISED)
def test_netlist_of_an_engine(family, tmp_path):
    """Its cells, some of which stand for DSP blocks and block RAMs, under a host's hands."""
    config = SYNTHESISED[family]
    component = AxiEngine(config)
    netlist = netlist_of(component, config)
    assert run_bench(component, "tests.cosim.netlist_bench", tmp_path, netlist=netlist,
                     test=f"family={family}") == 2
