import os
import re
import subprocess
import sys

import pytest

from hdl.config import load
from hdl.engine import Engine
from hdl.pipeline import ConvPipeline
from hdl.verilog import emit

PROGRAM = """
import sys
from hdl.config import load
from hdl.pipeline import ConvPipeline
from hdl.verilog import emit
sys.stdout.write(emit(ConvPipeline(load("tiny")), name="celosia"))
"""


def emitted(tmp_path, hash_seed):
    """Verilog from a process of its own, in a directory of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed,
                   "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    return subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment,
                          check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def tiny():
    return emit(ConvPipeline(load("tiny")), name="celosia")


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_same_bytes_from_every_process(tiny, tmp_path, hash_seed):
    assert emitted(tmp_path, hash_seed) == tiny


def test_names_its_top_module_and_ports(tiny):
    assert "\nmodule celosia(" in tiny
    for port in ("clk", "rst", "tiles__valid", "weights__payload", "outputs__ready"):
        assert f" {port};" in tiny


def test_tells_nothing_of_the_machine(tiny):
    """No paths, no source attributes."""
    assert os.getcwd() not in tiny
    assert "src = " not in tiny
    assert ".py" not in tiny


def test_units_have_one_reset():
    """Their own register, which stands for the reset of the clock domain as well."""
    modules = emit(Engine(load("tiny"))).split("\nmodule ")
    units = [module for module in modules if module.startswith("\\top.reader")]
    assert len(units) == 4
    for module in units:
        ports = module[:module.index(");")]
        assert "resetting" in ports
        assert not re.search(r"\brst\b", ports)
