from hdl.config import load
from hdl.top import AxiEngine
from sim.bench import run_bench


def test_axi_engine(tmp_path):
    run_bench(AxiEngine(load("tiny")), "tests.cosim.top_bench", tmp_path)
