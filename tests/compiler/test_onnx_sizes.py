"""Shapes that graphs compute for their Reshapes, as exporters write them."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from compiler.calibrate import Calibration, read_float
from compiler.calibrate_run import run_float
from compiler.errors import ModelError
from compiler.onnx_file import read_graph
from compiler.onnx_graph import Reader
from compiler.onnx_reader import read_onnx, survey_onnx
from golden.layer import ConvLayer
from scripts.fuzzing.onnx_draw import random_codes
from scripts.fuzzing.onnx_oracle import runtime_tensors
from tests.compiler.onnx_build import Graph, check
from tests.golden.refusal import refuses

FLOAT = TensorProto.FLOAT


class Sizing(Graph):
    """A `Graph` with what exporters write of shapes: a map (N, 4, 3, 3) becomes (N, 36)."""

    def known(self, *values, rank=1):
        """A constant of sizes, as a node."""
        shape = (len(values),) if rank else ()
        return self.add("Constant", [], value=helper.make_tensor("", TensorProto.INT64, shape,
                                                                 values))

    def unsqueezed(self, name, operator="Unsqueeze"):
        """Axis 0 added, or taken away: an attribute before opset 13, then an input."""
        if self.opset < 13:
            return self.add(operator, [name], axes=[0])
        return self.add(operator, [name, self.constant(np.array([0]))])

    def size(self, name, axis, rank=0):
        """``x.size(axis)``."""
        return self.add("Gather", [self.add("Shape", [name]), self.known(axis, rank=rank)], axis=0)

    def joined(self, *names):
        return self.add("Concat", names, axis=0)


def view(g, x):
    """``x.view(x.size(0), -1)`` as torch.onnx exports it."""
    return g.joined(g.unsqueezed(g.size(x, 0)), g.unsqueezed(g.known(-1, rank=0)))


def view_from_the_end(g, x):
    return g.joined(g.unsqueezed(g.size(x, -4)), g.known(-1))


def view_of_a_list(g, x):
    """One node less: an index of one axis."""
    return g.joined(g.size(x, 0, rank=1), g.known(-1))


def view_of_a_slice(g, x):
    """Slice, Squeeze, Cast, Unsqueeze, Cast: what tf2onnx and old exporters have."""
    size = g.add("Slice", [g.add("Shape", [x]), g.known(0), g.known(1), g.known(0)])
    size = g.add("Cast", [g.unsqueezed(size, "Squeeze")], to=TensorProto.INT64)
    return g.joined(g.add("Cast", [g.unsqueezed(size)], to=TensorProto.INT64), g.known(36))


def view_of_a_reversed_list(g, x):
    """A step of -1, from the end to beyond the beginning; a Reshape in place of Unsqueeze."""
    size = g.add("Reshape", [g.size(x, 0), g.known(-1)])
    return g.add("Slice", [g.joined(g.known(36), size), g.known(-1), g.known(-9), g.known(-1),
                           g.known(-1)])


def view_of_constants(g, _):
    """Sizes that constants alone make."""
    sizes = g.joined(g.known(0), g.known(-1), g.known(7))
    sizes = g.add("Slice", [sizes, g.known(0), g.known(-1)])
    return g.add("Gather", [sizes, g.known(-2, 1)])


VIEWS = [view, view_from_the_end, view_of_a_list, view_of_a_slice, view_of_a_reversed_list,
         view_of_constants]


def flattened(sizes, *, opset=13, batch="N"):
    """A convolution, the Reshape to what ``sizes`` makes, and a product."""
    g = Sizing((3, 5, 5), opset=opset, batch=batch)
    value = g.real(g.quantised(g.conv(g.real("x"), (4, 3, 3, 3))))
    value = g.add("Reshape", [value, sizes(g, value)])
    g.output(g.quantised(g.dense(value, 36, 5)), (5,))
    return g


def check_equal(graph, save, frames):
    """The network is two layers, and its output that of ONNX Runtime in every element."""
    model = check(graph, save, frames=frames, kinds=[ConvLayer, ConvLayer])
    content = graph.model().SerializeToString()
    x = random_codes(np.random.default_rng(5), model.input, frames)
    for optimise in (True, False):
        expected, _ = runtime_tensors(content, x, optimise=optimise)
        np.testing.assert_array_equal(model.run(x), expected)


@pytest.mark.usefixtures("exact_runtime")
@pytest.mark.parametrize("sizes", VIEWS)
@pytest.mark.parametrize(("batch", "frames"), [("N", 6), (1, 1), (4, 4)])
@pytest.mark.parametrize("opset", [11, 13, 17])
def test_views_equal_onnx_runtime(opset, batch, frames, sizes, save):
    check_equal(flattened(sizes, opset=opset, batch=batch), save, frames)


@pytest.mark.usefixtures("exact_runtime")
@pytest.mark.parametrize(("start", "end"), [(0, 1), (None, 1), (-4, -3), (-9, 1), (0, -3)])
def test_some_axes_of_a_shape(start, end, save):
    """``start`` and ``end``, as PyTorch's new exporter has them."""
    given = {name: value for name, value in (("start", start), ("end", end)) if value is not None}
    graph = flattened(lambda g, x: g.joined(g.add("Shape", [x], **given), g.known(-1)), opset=18)
    for node in graph.nodes:
        if node.op_type == "Reshape":
            node.attribute.append(helper.make_attribute("allowzero", 1))
    check_equal(graph, save, 3)


@pytest.mark.usefixtures("exact_runtime")
@pytest.mark.parametrize("target", [(0, -1), (-1, 36), (0, 36), (0, 0, -1)])
@pytest.mark.parametrize("batch", ["N", 1, 3])
def test_constant_shapes_keep_any_batch(batch, target, save):
    def sizes(g, _):
        return g.known(*target)

    graph = flattened(sizes, batch=batch)
    if len(target) == 3:
        # Back from (N, 4, 9), which is no row of a product.
        reshape = next(node for node in graph.nodes if node.op_type == "Reshape")
        at = list(graph.nodes).index(reshape)
        flatten = helper.make_node("Flatten", ["whole"], list(reshape.output))
        reshape.output[0] = "whole"
        graph.nodes.insert(at + 1, flatten)
    check_equal(graph, save, 3 if batch == "N" else batch)


@pytest.mark.usefixtures("exact_runtime")
@pytest.mark.parametrize("axis", [1, -3])
@pytest.mark.parametrize("batch", ["N", 3])
def test_flatten_keeps_any_batch(batch, axis, save):
    graph = Graph((3, 5, 5), batch=batch)
    value = graph.quantised(graph.conv(graph.real("x"), (4, 3, 3, 3)))
    value = graph.add("Flatten", [graph.real(value)], axis=axis)
    graph.output(graph.quantised(graph.dense(value, 36, 5)), (5,))
    check_equal(graph, save, 3)


@pytest.mark.usefixtures("exact_runtime")
def test_sizes_of_the_input_and_of_what_follows_softmax(save):
    """At both ends: reals that are not quantised yet, and what the host computes."""
    g = Sizing((6, 4), elem_type=FLOAT)
    value = g.add("Reshape", ["x", g.joined(g.size("x", 0, rank=1), g.known(1), g.size("x", 1, 1),
                                            g.size("x", -1, 1))])
    value = g.quantised(g.conv(g.real(g.quantised(value)), (10, 1, 6, 4)))
    value = g.add("Softmax", [g.add("Flatten", [g.real(value)])], axis=1)
    value = g.add("Reshape", [value, g.joined(g.size(value, 0, rank=1), g.known(2, 5))])
    g.output(value, (2, 5), FLOAT)
    content = g.model().SerializeToString()
    model = read_onnx(save(content))
    x = np.random.default_rng(1).normal(0, 20, (7, 6, 4)).astype(np.float32)
    made = model.run(x)
    assert made.shape == (7, 2, 5)
    np.testing.assert_allclose(made, runtime_tensors(content, x)[0], rtol=1e-5)


def float_graph(flat, *, opset=13, batch="N"):
    """A float model with a view in the middle, made by ``flat``."""
    g, rng = Sizing((3, 5, 5), opset=opset, batch=batch, elem_type=FLOAT), np.random.default_rng(2)
    weight = rng.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
    # What the Reshape moves is to be quantised behind the Relu only.
    value = flat(g, g.add("Conv", ["x", g.constant(weight)]))
    value = g.add("Relu", [value])
    value = g.add("Gemm", [value, g.constant(rng.normal(0, 0.3, (36, 5)).astype(np.float32))])
    g.output(value, (5,), FLOAT)
    return g.model()


@pytest.mark.parametrize("sizes", VIEWS)
@pytest.mark.parametrize("batch", ["N", 8])
@pytest.mark.parametrize("opset", [11, 13, 17])
def test_calibrated_views_are_as_flatten_is(opset, batch, sizes, save):
    """The same network, scales and results; and the float run that they are drawn from equals
    ONNX Runtime's."""
    x = np.random.default_rng(3).normal(0, 1, (8, 3, 5, 5)).astype(np.float32)
    plain = read_float(save(float_graph(lambda g, value: g.add("Flatten", [value]))), x)
    model = float_graph(lambda g, value: g.add("Reshape", [value, sizes(g, value)]), opset=opset,
                        batch=batch)
    made = read_float(save(model), x)
    assert [type(node.layer) for node in made.network.nodes] == [ConvLayer, ConvLayer]
    assert (made.input, made.output.scale) == (plain.input, plain.output.scale)
    np.testing.assert_array_equal(made.run(x), plain.run(x))

    graph = read_graph(save(model))
    reader = Reader(graph, Calibration())
    values = run_float(reader, [reader.read(proto).node for proto in graph.nodes], x)
    expected = runtime_tensors(model.SerializeToString(), x)[0]
    np.testing.assert_allclose(values[graph.output.name], expected, rtol=1e-5, atol=1e-5)


def test_the_survey_says_that_sizes_are_known(save):
    found = survey_onnx(save(flattened(view).model()))
    rows = {row.node: row.mapped_to for row in found.rows}
    assert {rows[f"n{index}"] for index in (5, 7, 8, 11)} == {"sizes, known beforehand"}
    assert rows["n12"] == "layout only: no element moves"


def to(operator, *constants, **attributes):
    """A view whose list of sizes goes through one more node."""
    def sizes(g, x):
        return g.add(operator, [g.add("Shape", [x]), *(
            each if isinstance(each, str) else g.constant(each) for each in constants)],
            **attributes)
    return sizes


def single(*values):
    return np.array(values, np.int64)


def product(operator):
    """``x.view(x.size(0), x.size(1) * x.size(2))``, or of another ``operator``."""
    def sizes(g, x):
        return g.joined(g.size(x, 0, 1), g.add(operator, [g.size(x, 1, 1), g.size(x, 2, 1)]))
    return sizes


def grown(g, x):
    value = g.add("Shape", [x])
    for _ in range(40):
        value = g.joined(value, value)
    return value


def channels_twice(g, x):
    return g.joined(g.size(x, 0, 1), g.size(x, 1, 1), g.size(x, 1, 1))


CASES = {
    "sum": (product("Add"), "node 'n14' (Add): input 'A' ('t10') is made of sizes of tensors, not "
        "a value; give the shape of the Reshape as a constant"),
    "product": (product("Mul"), "node 'n14' (Mul): input 'A' ('t10') is made of sizes of tensors, "
        "not a value; give the shape of the Reshape as a constant"),
    "Identity": (to("Identity"), "node 'n6' (Identity): input 'input' ('t5') is made of sizes of "
        "tensors, not a value; give the shape of the Reshape as a constant"),
    "Transpose": (to("Transpose"), "node 'n6' (Transpose): input 'data' ('t5') is made of sizes of "
        "tensors, not a value; give the shape of the Reshape as a constant"),
    "sizes of sizes": (lambda g, x: g.add("Gather", [g.add("Shape", [x]), g.size(x, 0)]),
        "node 'n9' (Gather): input 'indices' ('t8') is made of sizes of tensors, not a value; "
        "give the shape of the Reshape as a constant"),
    "Cast to int32": (to("Cast", to=TensorProto.INT32), "node 'n6' (Cast): only int32 accumulators "
        "may be cast, to float, and sizes, to int64; export without Cast"),
    "Cast to float": (to("Cast", to=FLOAT), "node 'n6' (Cast): only int32 accumulators may be "
        "cast, to float, and sizes, to int64; export without Cast"),
    "index beyond": (to("Gather", single(4)), "node 'n6' (Gather): index 4 is outside a list of 4 "
        "sizes; export the model again"),
    "index before": (to("Gather", single(0, -5)), "node 'n6' (Gather): index -5 is outside a list "
        "of 4 sizes; export the model again"),
    "table of indices": (to("Gather", single(0).reshape(1, 1)), "node 'n6' (Gather): input "
        "'indices' has shape (1, 1); give one index, or a list of at most 64"),
    "axis of Gather": (to("Gather", single(0), axis=1), "node 'n6' (Gather): axis 1 of a list of "
        "sizes is neither 0 nor -1; export the model again"),
    "axis of Slice": (to("Slice", single(0), single(1), single(1)), "node 'n6' (Slice): axis 1 of "
        "a list of sizes is neither 0 nor -1; export the model again"),
    "slices": (to("Slice", single(0, 0), single(1, 1)), "node 'n6' (Slice): input 'starts' has "
        "shape (2,), not (1,); slice a list of sizes along its one axis"),
    "step": (to("Slice", single(0), single(1), single(0), single(0)), "node 'n6' (Slice): input "
        "'steps' is 0; export the model again"),
    "axis of Concat": (lambda g, x: g.add("Concat", [g.size(x, 0, 1), g.known(-1)], axis=1),
        "node 'n9' (Concat): axis 1 of a list of sizes is neither 0 nor -1; export the model "
        "again"),
    "one size joined": (lambda g, x: g.joined(g.size(x, 0), g.known(-1)), "node 'n9' (Concat): "
        "input 'inputs0' ('t7') is one size, not a list of them; unsqueeze it before this node"),
    "values joined": (lambda g, x: g.joined(g.size(x, 0, 1), x), "node 'n8' (Concat): input "
        "'inputs1' ('t4') is float, not sizes; compute with sizes that Shape makes, or constants"),
    "floats joined": (lambda g, x: g.joined(g.size(x, 0, 1), g.constant(np.float32([1]))),
        "node 'n8' (Concat): input 'inputs1' has type float, not int64; export it as int64"),
    "values gathered": (lambda g, x: g.add("Gather", [x, g.known(0)]), "node 'n6' (Gather): input "
        "'data' ('t4') is float, not sizes; compute with sizes that Shape makes, or constants"),
    "weights sliced": (lambda g, _: g.add("Slice", [g.constant(single(1, 2).reshape(1, 2)),
        g.known(0), g.known(1)]), "node 'n7' (Slice): input 'data' ('c9') has shape (1, 2); give "
        "sizes as a list of at most 64"),
    "lists that double": (grown, "node 'n10' (Concat): it makes a list of 128 sizes; keep lists to "
        "64"),
    "one size": (lambda g, x: g.size(x, 0), "node 'n8' (Reshape): its shape is one size, not a "
        "list of them; export the model again"),
    "table of sizes": (lambda g, x: g.unsqueezed(g.add("Shape", [x])), "node 'n7' (Reshape): input "
        "'shape' ('t6') has shape (1, 4); give sizes as a list of at most 64"),
    "batch at the end": (lambda g, x: g.joined(g.known(-1), g.size(x, 0, 1)), "node 'n10' "
        "(Reshape): shape [-1, N] of (N, 4, 3, 3) does not keep the batch; export so that the "
        "first axis stays the batch"),
    "batch twice": (lambda g, x: g.joined(g.size(x, 0, 1), g.size(x, 0, 1)), "node 'n12' "
        "(Reshape): shape [N, N] of (N, 4, 3, 3) does not keep the batch; export so that the "
        "first axis stays the batch"),
    "batch lost": (lambda g, x: g.joined(g.size(x, 1, 1), g.known(-1)), "node 'n10' (Reshape): "
        "shape [4, -1] of (N, 4, 3, 3) does not keep the batch; export so that the first axis "
        "stays the batch"),
    "elements lost": (channels_twice, "node 'n15' (Reshape): shape [N, 4, 4] does not have the 36 "
        "elements of its input; export the model again"),
    "reshaped constant": (lambda g, x: g.add("Reshape", [g.known(0, -1), g.size(x, 0, 1)]),
        "node 'n9' (Reshape): shape [N] of a constant has the size of the batch; export with a "
        "fixed batch"),
    "squeezed list": (lambda g, x: g.unsqueezed(g.add("Shape", [x]), "Squeeze"), "node 'n6' "
        "(Squeeze): axis 0 of shape (4) is not 1; export the model again"),
}


@pytest.mark.parametrize(("sizes", "message"), CASES.values(), ids=list(CASES))
def test_refuses(sizes, message, save):
    with refuses(ModelError, f"model.onnx: {message}"):
        read_onnx(save(flattened(sizes).model()))


@pytest.mark.parametrize("batch", ["N", 4])
def test_a_fixed_batch_is_a_size_like_others(batch, save):
    """Refused where values are needed, be it known or not."""
    with refuses(ModelError, "model.onnx: node 'n14' (Mul): input 'A' ('t10') is made of sizes of "
                 "tensors, not a value; give the shape of the Reshape as a constant"):
        read_onnx(save(flattened(product("Mul"), batch=batch).model()))


def test_sizes_are_no_output(save):
    graph = Sizing((3, 5, 5))
    graph.output(graph.add("Shape", ["x"]), (4,))
    with refuses(ModelError, "model.onnx: output 't0': it is made of sizes of tensors; there is "
                 "nothing to accelerate"):
        read_onnx(save(graph.model()))


def test_start_and_end_came_with_opset_15(save):
    graph = flattened(lambda g, x: g.joined(g.add("Shape", [x], end=1), g.known(-1)), opset=13)
    with pytest.raises(ModelError, match="Unrecognized attribute: end"):
        read_onnx(save(graph.model()))
