import pytest

from hdl.config import load
from hdl.top import AxiEngine, WishboneEngine
from sim.bench import run_bench


@pytest.mark.parametrize(("top", "bench"), [
    (AxiEngine, "top_bench"), (WishboneEngine, "wishbone_bench")])
def test_engine_on_its_buses(top, bench, tmp_path):
    run_bench(top(load("tiny")), f"tests.cosim.{bench}", tmp_path)
