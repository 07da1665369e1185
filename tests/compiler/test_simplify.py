"""Rewrites by hand, and of random models: every tensor that remains is as it was."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.reader import read_model
from compiler.simplify import (
    compose_tables,
    drop_identities,
    flatten_concatenations,
    fold_padding,
    fuse_clips,
    move_input_zero_points,
    simplified,
)
from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.network import Network, Node
from golden.pool import PoolLayer, clip_layer
from scripts.fuzzing.tflite_cases import drawn

SHAPE = (3, 6, 5)
RNG = np.random.default_rng(0)


def conv(name, *, channels=3, made=3, kernel=(3, 3), **fields):
    settings = {"bias": RNG.integers(-500, 500, made), "multiplier": np.full(made, 2**30),
                "shift": np.full(made, 38), "rounding": "tflite", "input_zero_point": 7, **fields}
    return ConvLayer(name=name, weight=RNG.integers(-127, 128, (made, channels, *kernel)),
                     **settings)


def table(name, function, *, unsigned=False, output_unsigned=None):
    """A layer that makes ``function`` of each code."""
    codes = np.arange(256, dtype=np.uint8).view(np.uint8 if unsigned else np.int8)
    values = np.array([function(int(code)) for code in codes])
    return ElementwiseLayer(
        name=name, tables=values[None], input_unsigned=(unsigned,),
        output_unsigned=unsigned if output_unsigned is None else output_unsigned)


def add(name):
    return ElementwiseLayer(name=name, tables=RNG.integers(-2**20, 2**20, (2, 256)),
                            input_unsigned=(False, False), multiplier=1, shift=14)


def pad(name, code=7, padding=(1, 0, 2, 1)):
    return PoolLayer(name=name, kind="max", kernel=(1, 1), padding=padding, pad_code=code)


def network(*nodes, output=None, unsigned=False, shape=SHAPE):
    """Nodes are (layer, names of inputs); each makes the tensor of its layer's name."""
    made = tuple(Node(layer, inputs, layer.name) for layer, inputs in nodes)
    return Network(input="x", input_shape=shape, input_unsigned=unsigned, nodes=made,
                   output=output or made[-1].output)


def assert_same(before, after, frames=4):
    """Every tensor of ``after`` is the one of that name before; so are its ends."""
    assert (after.input, after.input_shape, after.input_unsigned, after.output) == (
        before.input, before.input_shape, before.input_unsigned, before.output)
    dtype = np.uint8 if before.input_unsigned else np.int8
    limits = np.iinfo(dtype)
    codes = np.random.default_rng(1).integers(limits.min, limits.max + 1,
                                              (frames, *before.input_shape), dtype)
    codes.reshape(-1)[:256] = np.arange(256, dtype=np.uint8).view(dtype)[:codes.size]
    old, new = before.run(codes), after.run(codes)
    assert before.output in new
    for name, values in new.items():
        assert values.dtype == old[name].dtype
        np.testing.assert_array_equal(values, old[name], err_msg=name)


def names(rewritten):
    return [node.layer.name for node in rewritten.nodes]


def check(rewrite, before, remaining):
    after = rewrite(before)
    assert names(after) == remaining
    assert_same(before, after)
    assert rewrite(after) is after
    return after


def stays(rewrite, before):
    assert rewrite(before) is before


# Identities

def test_identities_are_dropped():
    nothing = clip_layer("nothing", low=-128, high=127)
    check(drop_identities, network(
        (nothing, ("x",)), (table("same", int), ("nothing",)), (conv("conv"), ("same",)),
        (ConcatLayer(name="alone", inputs=1), ("conv",)), (add("add"), ("alone", "conv"))),
        ["conv", "add"])


def test_an_identity_at_the_end_gives_its_name_away():
    after = check(drop_identities, network(
        (conv("conv"), ("x",)), (add("add"), ("conv", "conv")), (table("same", int), ("conv",)),
        output="same"), ["conv", "add"])
    assert after.nodes[0].output == "same"


def test_identities_in_the_middle_and_at_the_end():
    check(drop_identities, network(
        (conv("conv"), ("x",)), (table("same", int), ("conv",)), (add("add"), ("same", "conv")),
        (table("end", int), ("add",))), ["conv", "add"])


def test_what_only_looks_like_an_identity_stays():
    stays(drop_identities, network((table("same", int), ("x",))))
    for layer in (clip_layer("clip", low=-128, high=126), pad("pad", padding=(0, 0, 0, 1)),
                  PoolLayer(name="skip", kind="max", kernel=(1, 1), stride=(1, 2)),
                  table("type", lambda code: max(code, 0), output_unsigned=True),
                  table("negated", lambda code: -code)):
        unsigned = layer.output_unsigned
        end = PoolLayer(name="end", kind="max", kernel=(2, 1), input_unsigned=unsigned,
                        output_unsigned=unsigned)
        stays(drop_identities, network((layer, ("x",)), (end, (layer.name,))))


# Tables

def test_tables_are_composed():
    check(compose_tables, network(
        (conv("conv"), ("x",)), (table("one", lambda code: code // 2), ("conv",)),
        (table("two", lambda code: 20 - code), ("one",)), (add("add"), ("two", "conv")),
        (table("last", abs), ("add",))), ["conv", "add", "last"])


def test_a_table_before_both_sides_of_a_sum():
    check(compose_tables, network((table("half", lambda code: code // 2), ("x",)),
                                  (add("add"), ("half", "half"))), ["add"])


def test_a_table_between_types():
    check(compose_tables, network(
        (table("signed", lambda code: code // 2 - 64, unsigned=True, output_unsigned=False),
         ("x",)), (add("add"), ("signed", "signed")), unsigned=True), ["add"])


def test_a_table_that_others_read_stays():
    stays(compose_tables, network(
        (table("half", lambda code: code // 2), ("x",)), (add("add"), ("half", "half")),
        (PoolLayer(name="pool", kind="max", kernel=(1, 1), stride=(2, 2)), ("half",))))
    stays(compose_tables, network(
        (table("half", lambda code: code // 2), ("x",)), (add("add"), ("half", "half")),
        output="half"))


# Clips

@pytest.mark.parametrize("after", [
    clip_layer("after", low=-20, high=30), table("after", lambda code: max(code, 5)),
    table("after", lambda code: min(max(code + 9, -100), 100)),
    table("after", lambda code: code + 128, output_unsigned=True)],
    ids=["clip", "relu", "shift", "type"])
@pytest.mark.parametrize("before", [
    conv("before", low=-50, high=90), add("before"),
    PoolLayer(name="before", kind="sum", kernel=(2, 2), multiplier=2**28, shift=30, low=-99,
              output_zero_point=-9)], ids=["conv", "add", "pool"])
def test_clips_and_shifts_are_fused(before, after):
    nodes = network((before, ("x",) * len(before.input_types)), (after, ("before",)))
    fused = check(fuse_clips, nodes, ["before"]).nodes[0]
    assert fused.output == "after"
    assert fused.layer.output_type is after.output_type


def test_clips_are_fused_one_after_the_other():
    check(fuse_clips, network((conv("conv"), ("x",)), (clip_layer("one", low=-30, high=90),
                                                       ("conv",)),
                              (clip_layer("two", low=-60, high=50), ("one",))), ["conv"])


def test_other_tables_and_readers_stay():
    for function in (abs, lambda code: -code, lambda code: code // 2):
        stays(fuse_clips, network((conv("conv"), ("x",)), (table("odd", function), ("conv",))))
    clip = clip_layer("clip", low=0, high=9)
    stays(fuse_clips, network((clip, ("x",))))
    stays(fuse_clips, network((conv("conv"), ("x",)), (clip, ("conv",)),
                              (add("add"), ("conv", "clip"))))
    stays(fuse_clips, network((conv("conv"), ("x",)), (clip, ("conv",)), output="conv"))
    stays(fuse_clips, network((ConcatLayer(name="join"), ("x", "x")), (clip, ("join",))))
    # The zero point would be 200.
    shift = table("shift", lambda code: min(code + 100, 127))
    stays(fuse_clips, network((conv("conv", output_zero_point=100), ("x",)), (shift, ("conv",))))


def test_a_table_is_judged_by_the_codes_that_it_can_get():
    odd = table("odd", lambda code: code if code >= 0 else 3)
    check(fuse_clips, network((conv("conv", low=0), ("x",)), (odd, ("conv",))), ["conv"])
    stays(fuse_clips, network((conv("conv", low=-9), ("x",)), (odd, ("conv",))))


# Zero points of the input

def test_uint8_codes_are_read_as_they_are():
    signed = table("signed", lambda code: code - 128, unsigned=True, output_unsigned=False)
    after = check(move_input_zero_points, network(
        (signed, ("x",)), (conv("conv", padding=(1, 1, 1, 1)), ("signed",)),
        (PoolLayer(name="max", kind="max", kernel=(3, 3), padding=(1, 1, 1, 1)), ("signed",)),
        (PoolLayer(name="sum", kind="sum", kernel=(3, 3), padding=(1, 1, 1, 1), pad_code=5,
                   multiplier=2**28, shift=31, rounding="tflite"), ("signed",)),
        (ConcatLayer(name="join", inputs=3), ("conv", "max", "sum")), unsigned=True),
        ["conv", "max", "sum", "join"])
    assert after.nodes[0].layer.input_zero_point == 135


def test_int8_codes_are_read_as_they_are():
    unsigned = table("unsigned", lambda code: code + 128, output_unsigned=True)
    check(move_input_zero_points, network(
        (unsigned, ("x",)), (conv("conv", input_unsigned=True), ("unsigned",))), ["conv"])


def test_tables_that_are_no_shift_stay():
    signed = table("signed", lambda code: code - 128, unsigned=True, output_unsigned=False)
    stays(move_input_zero_points, network(
        (signed, ("x",)), (conv("conv"), ("signed",)), (add("add"), ("signed", "signed")),
        unsigned=True, output="conv"))
    stays(move_input_zero_points, network((signed, ("x",)), (conv("conv"), ("signed",)),
                                          unsigned=True, output="signed"))
    bent = table("bent", lambda code: code // 2, unsigned=True, output_unsigned=False)
    stays(move_input_zero_points, network((bent, ("x",)), (conv("conv"), ("bent",)),
                                          unsigned=True))


# Padding

def test_padding_is_folded_into_convolutions():
    after = check(fold_padding, network(
        (pad("pad"), ("x",)), (conv("one", padding=(0, 1, 0, 0)), ("pad",)),
        (conv("two", kernel=(1, 1), stride=(2, 2)), ("pad",)), output="one"), ["one", "two"])
    assert [node.layer.padding for node in after.nodes] == [(1, 1, 2, 1), (1, 0, 2, 1)]


@pytest.mark.parametrize("kind", ["max", "sum"])
def test_padding_is_folded_into_windows(kind):
    pool = PoolLayer(name="pool", kind=kind, kernel=(2, 3), stride=(2, 1), multiplier=2**28,
                     shift=31)
    check(fold_padding, network((pad("pad"), ("x",)), (pool, ("pad",))), ["pool"])
    own = replace(pool, padding=(0, 1, 1, 0), pad_code=7)
    check(fold_padding, network((pad("pad"), ("x",)), (own, ("pad",))), ["pool"])


def test_padding_twice_is_padding():
    check(fold_padding, network((pad("one"), ("x",)), (pad("two"), ("one",)),
                                (conv("conv"), ("two",))), ["conv"])


def test_padding_that_is_not_zero_or_not_alone_stays():
    stays(fold_padding, network((pad("pad", code=8), ("x",)), (conv("conv"), ("pad",))))
    stays(fold_padding, network((pad("pad"), ("x",)), (conv("conv"), ("pad",)), output="pad"))
    stays(fold_padding, network((pad("pad"), ("x",)), (conv("conv"), ("pad",)),
                                (add("add"), ("pad", "pad")), output="conv"))
    own = PoolLayer(name="pool", kind="max", kernel=(2, 2), padding=(1, 0, 0, 0))
    stays(fold_padding, network((pad("pad"), ("x",)), (own, ("pad",))))
    clipped = replace(pad("pad"), low=-100)
    stays(fold_padding, network((clipped, ("x",)), (conv("conv"), ("pad",))))


# Concatenations

def test_concatenations_are_flattened():
    check(flatten_concatenations, network(
        (conv("conv", kernel=(1, 1)), ("x",)), (ConcatLayer(name="one"), ("x", "conv")),
        (ConcatLayer(name="two", inputs=3), ("conv", "one", "x")),
        (ConcatLayer(name="three"), ("two", "conv"))), ["conv", "three"])


def test_a_concatenation_twice_in_another():
    after = check(flatten_concatenations, network(
        (conv("conv", kernel=(1, 1)), ("x",)), (ConcatLayer(name="one"), ("x", "conv")),
        (ConcatLayer(name="two"), ("one", "one"))), ["conv", "two"])
    assert after.nodes[-1].inputs == ("x", "conv", "x", "conv")


def test_a_concatenation_that_others_read_stays():
    stays(flatten_concatenations, network(
        (ConcatLayer(name="one"), ("x", "x")), (ConcatLayer(name="two"), ("one", "x")),
        (table("other", abs), ("one",)), output="two"))


# All of them

@pytest.mark.parametrize("seed", range(120))
def test_random_models_stay_what_they_are(seed, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(drawn(seed)[1])
    before = read_model(path).network
    after = simplified(before)
    assert_same(before, after)
    assert simplified(after) is after


def test_random_models_become_shorter(tmp_path):
    path, before, after = tmp_path / "model.tflite", 0, 0
    for seed in range(60):
        path.write_bytes(drawn(seed)[1])
        network = read_model(path).network
        before += len(network.nodes)
        after += len(simplified(network).nodes)
    assert after < 0.9 * before
