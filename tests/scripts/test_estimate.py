"""``celosia estimate``: what the cycle model says of networks that nobody has to run."""

import json

import pytest

from compiler.program import compile_network
from hdl.config import CONFIGURATIONS
from scripts.bench import NETWORKS
from scripts.console import Refused
from scripts.figures import layer_figures
from scripts.shapes import KNOWN, network_of_shapes, read_shapes
from tests.compiler.tinyml import tinyml
from tests.cosim.known_networks import KNOWN_NETWORKS
from tests.golden.refusal import refuses
from tests.scripts.small_models import convolutions

#: Multiplications of a frame, as the networks' makers' own descriptions have them.
MACS = {"anomaly_detection": 264_192, "image_classification": 12_501_632,
        "keyword_spotting": 2_656_768, "mobilenet_v2": 300_774_272, "resnet18": 1_814_073_344,
        "visual_wake_words": 7_489_664}
#: Cycles of a frame, or of several together, on ecp5-85f with unlimited memories, which must not
#: become more.
CYCLES = {("resnet18", 1): 15_180_000, ("resnet18", 8): 117_775_000,
          ("mobilenet_v2", 1): 3_015_000, ("mobilenet_v2", 8): 22_661_000}


@pytest.fixture
def estimated(celosia, tmp_path):
    """Call ``celosia estimate``; its report."""
    def call(*arguments):
        path = tmp_path / "estimate.json"
        result = celosia("estimate", *arguments, "--report", path)
        assert (result.exit_code, result.stderr) == (0, "")
        report = json.loads(path.read_text())
        assert f"{report['predicted_cycles']:,} cycles" in result.stdout
        return report
    return call


def test_multiplications_of_known_networks():
    assert {name: read_shapes(name).macs() for name in KNOWN} == MACS


@pytest.mark.parametrize(("name", "batch"), CYCLES)
def test_large_networks(estimated, name, batch):
    """Their layers add up, and each layer's parts; the share that is lost does not grow."""
    report = estimated(name, "--memories", "unlimited", "--batch", batch)
    assert report["macs"] == MACS[name] * batch == sum(each["macs"] for each in report["layers"])
    for each in (report, *report["layers"]):
        assert sum(each["cycles"].values()) == pytest.approx(each["predicted_cycles"])
        assert min(each["cycles"].values()) >= 0
        assert each["cycles"]["compute"] * 8 * 16 == pytest.approx(each["macs"])
    assert report["predicted_cycles"] == sum(
        each["predicted_cycles"] for each in report["layers"])
    assert report["predicted_cycles"] <= CYCLES[name, batch]


@pytest.mark.parametrize(("name", "least"), [("resnet18", 0.96), ("mobilenet_v2", 0.79)])
def test_share_of_the_array_in_convolutions(estimated, name, least):
    report = estimated(name, "--memories", "unlimited")
    cycles = sum(each["predicted_cycles"] for each in report["layers"] if each["macs"])
    assert report["macs"] / (cycles * 8 * 16) >= least


@pytest.mark.parametrize("memories", ["configured", "unlimited"])
def test_equals_check_where_a_model_fits(celosia, estimated, save, tmp_path, memories):
    """Layer for layer."""
    model, checked = save(convolutions(add=True)), tmp_path / "check.json"
    assert celosia("check", model, "--config", "ecp5-25f", "--report", checked).exit_code == 0
    expected = json.loads(checked.read_text())
    report = estimated(model, "--config", "ecp5-25f", "--memories", memories)
    for key in ("macs", "predicted_cycles", "utilisation"):
        assert report[key] == expected[key]
    assert ([(each["macs"], each["predicted_cycles"]) for each in report["layers"]]
            == [(node["macs"], node["predicted_cycles"]) for node in expected["nodes"]])


@pytest.mark.parametrize(("shapes", "name"), [
    ("image_classification", "resnet8"), ("visual_wake_words", "mobilenet"),
    ("keyword_spotting", "ds_cnn")])
def test_equals_the_compiled_network(estimated, shapes, name):
    """Weights do not matter, nor who has described the network."""
    network = KNOWN_NETWORKS[name][0](1)
    program = compile_network(network, CONFIGURATIONS["ecp5-85f"])
    expected = [(layer.op, layer.macs, layer.predicted_cycles)
                for layer in layer_figures(network, program)]
    report = estimated(shapes)
    assert [(each["op"], each["macs"], each["predicted_cycles"])
            for each in report["layers"]] == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_are_those_of_the_models(estimated, name):
    """MLPerf Tiny's files and the shapes that stand for them: every layer takes as long."""
    def rows(report):
        return [(each["op"], each["macs"], each["predicted_cycles"]) for each in report["layers"]]

    assert rows(estimated(name)) == rows(estimated(tinyml(name)))


def test_what_does_not_fit_is_refused_with_a_way_out(refused, celosia):
    line = refused("estimate", "resnet18")
    assert line.startswith("The network needs 730496 weight_words ")
    assert line.endswith("; --memories unlimited leaves that aside")
    assert celosia("estimate", "resnet18", "--memories", "unlimited").exit_code == 0


@pytest.mark.parametrize(("arguments", "message"), [
    (["nothing.json"], "nothing.json: No such file or directory"),
    (["resnet18", "--config", "huge"], "No configuration or file named 'huge'; "),
    (["resnet18", "--batch", "0"], "Invalid value for '--batch': 0 is not in the range 1<=x<=256"),
    (["resnet18", "--memories", "unlimited", "--report", "."], ".: Is a directory"),
])
def test_bad_input_is_one_line(refused, arguments, message):
    assert refused("estimate", *arguments).startswith(message)


def test_summary_of_convolutions_alone(celosia, estimated):
    """What pooling takes is in the first figure, and not in the second."""
    layers = estimated("image_classification")["layers"]
    cycles = sum(each["predicted_cycles"] for each in layers if each["macs"])
    assert cycles < sum(each["predicted_cycles"] for each in layers)
    share = MACS["image_classification"] / (cycles * 8 * 16)
    last = celosia("estimate", "image_classification").stdout.splitlines()[-1]
    assert last == f"{cycles:,} and {share:.1%} without the layers that multiply nothing"


LAYER = {"name": "a", "op": "conv", "channels": 2, "kernel": [3, 3]}


@pytest.mark.parametrize(("change", "message"), [
    ({"name": 3}, "Layer 0: it needs a name of its own"),
    ({"name": "input"}, "Layer 0: it needs a name of its own"),
    ({"op": "softmax"}, "Layer a: op must be one of conv, max_pool, average_pool, add, "
                        "not 'softmax'"),
    ({"kernels": 3}, "Layer a: unknown key 'kernels'; keys: channels, dilation, group, inputs, "
                     "kernel, name, op, padding, stride"),
    ({"inputs": ["b"]}, "Layer a: no layer 'b' before it"),
    ({"inputs": "input"}, "Layer a: inputs must be a list of names"),
    ({"inputs": ["input", "input"]}, "Layer a: takes 1 inputs, not 2"),
    ({"kernel": [3]}, "Layer a: kernel must be 2 integers from 0 on, not [3]"),
    ({"channels": True}, "Layer a: channels must be an integer from 0 on, not True"),
    ({"channels": 0}, "Layer a: its weights have shape (0, 4, 3, 3); there must be 1 to 268435456 "
                      "of them"),
    ({"channels": 1 << 19, "kernel": [256, 256]},
     "Layer a: its weights have shape (524288, 4, 256, 256); there must be 1 to 268435456 of them"),
    ({"group": 3}, "Layer a: group must divide the 4 input channels, not be 3"),
    ({"stride": [0, 1]}, "Layer a: stride must be at least 1, not 0"),
    ({"kernel": [8, 8]}, "Layer a: The dilated kernel spans 8, more than the padded input's 7"),
])
def test_refuses_shapes(tmp_path, change, message):
    path = tmp_path / "shapes.json"
    path.write_text(json.dumps({"input": [4, 7, 7], "layers": [LAYER | change]}))
    with refuses(Refused, f"{path}: {message}"):
        read_shapes(path)


@pytest.mark.parametrize(("content", "message"), [
    (b"\xff", "not a JSON file"),
    (b"[" * 100_000, "not a JSON file"),
    (b"[]", "The network must be an object with `input` and a list `layers`"),
    (b'{"layers": []}', "The network: input is missing"),
    (b'{"layers": [], "input": [1, 2]}',
     "The network: input must be 3 integers from 0 on, not [1, 2]"),
    (b'{"layers": [], "input": [1, 2, 3]}', "Network: nodes must not be empty"),
    (b'{"layers": [{"name": "a", "op": "max_pool"}], "input": [1, 2, 3]}',
     "Layer a: kernel is missing"),
])
def test_refuses_files(tmp_path, content, message):
    path = tmp_path / "shapes.json"
    path.write_bytes(content)
    with refuses(Refused, f"{path}: {message}"):
        read_shapes(path)


def test_branches_and_defaults():
    """An average is over the whole input, a convolution's kernel 1x1."""
    network = network_of_shapes({"input": [4, 7, 5], "layers": [
        {"name": "a", "op": "conv", "channels": 6},
        {"name": "b", "op": "max_pool", "inputs": ["input"], "kernel": [3, 3], "stride": [2, 2],
         "padding": [1, 1, 1, 1]},
        {"name": "c", "op": "add", "inputs": ["a", "a"]},
        {"name": "d", "op": "average_pool"}]})
    assert network.shapes() == {"input": (4, 7, 5), "a": (6, 7, 5), "b": (4, 4, 3),
                                "c": (6, 7, 5), "d": (6, 1, 1)}
    assert network.output == "d"


@pytest.mark.parametrize("memories", ["configured", "unlimited"])
def test_a_batch_is_not_for_a_lean_engine(refused, memories):
    line = refused("estimate", "resnet18", "--config", "icebreaker", "--batch", "2", "--memories",
                   memories)
    assert line.endswith("A lean engine computes one frame at a time, and icebreaker is one, so "
                         "batches of 2 are for another: tiny, ecp5-25f, ecp5-85f, ecp5-85f-8x8, "
                         "ecp5-85f-16x16")
