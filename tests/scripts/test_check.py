"""``celosia check``: tables, reports and refusals."""

import json

import numpy as np
import pytest

from hdl.config import CONFIGURATIONS
from scripts.console import Refused, printable
from tests.golden.tflite_models import Operator
from tests.scripts.small_models import convolutions, unsupported

#: Of the small model's layers.
MACS = [3 * 3 * 4 * 3 * 3 * 3, 3 * 3 * 5 * 4]


def test_what_maps_and_fits(celosia, save, tmp_path):
    report = tmp_path / "check.json"
    result = celosia("check", save(convolutions()), "--config", "tiny", "--report", report)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["node", "operator", "MACs", "cycles", "utilisation", "maps", "to"]
    assert [line[:3] for line in lines[1:3]] == [["0", "CONV_2D", "972"], ["1", "CONV_2D", "180"]]
    assert lines[-1] == ["Everything", "maps,", "and", "fits", "tiny."]
    figures = json.loads(report.read_text())
    assert (figures["maps"], figures["fits"], figures["error"]) == (True, True, None)
    assert [node["macs"] for node in figures["nodes"]] == MACS
    assert figures["macs"] == sum(MACS)
    cycles = [node["predicted_cycles"] for node in figures["nodes"]]
    assert figures["predicted_cycles"] == sum(cycles)
    assert figures["utilisation"] == sum(MACS) / (sum(cycles) * 4)
    for name, memory in figures["memories"].items():
        assert memory["available"] == getattr(CONFIGURATIONS["tiny"], name)
        assert 0 < memory["needed"] <= memory["available"]


def test_tables_line_up(celosia, save):
    lines = celosia("check", save(convolutions()), "--config", "tiny").stdout.splitlines()
    blank = lines.index("")
    assert len({len(line) for line in lines[:blank]}) == 1
    assert len({len(line) for line in lines[blank + 1:-2]}) == 1


def test_every_node_that_does_not_map_is_listed(celosia, save, tmp_path):
    report = tmp_path / "check.json"
    result = celosia("check", save(unsupported()), "--config", "tiny", "--report", report)
    assert result.exit_code == 2
    nothing = [line for line in result.stdout.splitlines() if "NOTHING: " in line]
    assert [line.split()[1] for line in nothing] == ["TANH", "LOGISTIC"]
    figures = json.loads(report.read_text())
    assert result.stderr == f"celosia: {figures['error']} (and 1 more, see above)\n"
    assert (figures["maps"], figures["fits"]) == (False, False)
    assert figures["error"].startswith("small.tflite: node 2 '' (TANH): ")
    assert [node["reason"] is None for node in figures["nodes"]] == [True, True, False, False]


def test_what_does_not_fit(celosia, save, tmp_path):
    """Needs and cycles are there all the same."""
    small = tmp_path / "small.toml"
    small.write_text('device = "ice40up5k"\nrows = 2\ncolumns = 2\nlanes = 1\nchannels = 2\n'
                     "weight_words = 64\n")
    result = celosia("check", save(convolutions()), "--config", small)
    assert result.exit_code == 2
    assert ["weight", "84", "64", "131.2", "too", "small"] in [
        line.split() for line in result.stdout.splitlines()]
    assert "%" in result.stdout.splitlines()[1]
    assert result.stderr.startswith("celosia: small.tflite: The network needs 84 weight_words ")


def test_a_missing_unit(celosia, save):
    result = celosia("check", save(convolutions(add=True)), "--config", "tiny")
    assert result.exit_code == 2
    assert result.stderr.startswith("celosia: small.tflite: Layer add_2: ")


def test_a_node_whose_name_is_hostile(celosia, save):
    """Neither control characters nor markup of our own get to the terminal."""
    content = convolutions(last=[Operator("TANH", [6], [7])])
    # The reader puts the operator's name into its row; a custom one may be called anything.
    assert celosia("check", save(content), "--config", "tiny").exit_code == 2
    assert printable("a\x1b[31mb\n[red]c").plain == "a?[31mb?[red]c"
    assert Refused("a\x1b[31mb\n\udcff[red]c").message == "a?[31mb ?[red]c"
    assert printable("abcdef", 4).plain == "abc…"


@pytest.mark.parametrize(("content", "name", "message"), [
    (None, "no.tflite", "no.tflite: cannot be read: No such file or directory; check the path"),
    (b"", "small.onnx", None),
    (b"", "small.tflite", None),
    (np.random.default_rng(1).bytes(2000), "small.tflite", None),
    (np.random.default_rng(1).bytes(2000), "small.onnx", None),
])
def test_files_that_are_no_models(refused, save, tmp_path, content, name, message):
    path = tmp_path / name if content is None else save(content, name)
    line = refused("check", path, "--config", "tiny", "--report", tmp_path / "check.json")
    assert line == message if message else line.startswith(f"{name}: ")
    assert not (tmp_path / "check.json").exists()


def test_a_report_that_cannot_be_written(refused, save, tmp_path):
    assert refused("check", save(convolutions()), "--report", tmp_path) == (
        f"{tmp_path}: Is a directory")
