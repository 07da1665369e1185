"""The networks of MLPerf Tiny, with random weights: shapes as in the benchmark's int8 models."""

from dataclasses import replace

import numpy as np

from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.network import Network, Node
from golden.pool import PoolLayer
from tests.cosim.layers import bias_room, scale_shift
from tests.cosim.networks import spread

__all__ = ["KNOWN_NETWORKS", "ds_cnn", "mobilenet", "resnet8"]


class _Builder:
    """Layers one after the other, each with weights and scales that spread its codes."""

    def __init__(self, seed, input_shape):
        self.rng = np.random.default_rng(seed)
        self.tensors = {"input": self.rng.integers(-128, 128, (6, *input_shape), dtype=np.int8)}
        self.zero_points = {"input": 0}
        self.nodes = []

    def network(self):
        """The network of all layers so far; the last one makes its output."""
        return Network(input="input", input_shape=self.tensors["input"].shape[1:],
                       input_unsigned=False, nodes=tuple(self.nodes),
                       output=self.nodes[-1].output)

    def conv(self, source, outputs, kernel, stride=1, padding=(0, 0, 0, 0), *, depthwise=False,
             relu=True):
        """Add a convolution, with a ReLU unless told otherwise; return its tensor."""
        codes = self.tensors[source]
        group = codes.shape[1] if depthwise else 1
        weight = self.rng.integers(-127, 128, (outputs, codes.shape[1] // group, *kernel))
        zero = np.zeros(outputs, int)
        output_zero = -128 if relu else 5
        layer = ConvLayer(
            name=f"conv{len(self.nodes)}", weight=weight, bias=zero, multiplier=zero, shift=zero,
            rounding="tflite", stride=(stride, stride), padding=padding, group=group,
            input_zero_point=self.zero_points[source], output_zero_point=output_zero,
            low=output_zero if relu else -128)
        bias, multiplier, shift = scale_shift(self.rng, "fitting", layer.accumulate(codes),
                                              bias_room(weight))
        return self._add(replace(layer, bias=bias, multiplier=multiplier, shift=shift), [source])

    def add(self, first, second):
        """Add two tensors, with a ReLU; return the sum's tensor."""
        layer = ElementwiseLayer(
            name=f"add{len(self.nodes)}", input_unsigned=(False, False), rounding="tflite",
            tables=self.rng.integers(-2**28, 2**28, (2, 256)), output_zero_point=-128)
        codes = [self.tensors[first], self.tensors[second]]
        return self._add(spread(self.rng, layer, codes), [first, second])

    def average(self, source):
        """Average over height and width; return its tensor."""
        layer = PoolLayer(name=f"average{len(self.nodes)}", kind="sum",
                          kernel=self.tensors[source].shape[2:])
        return self._add(spread(self.rng, layer, [self.tensors[source]]), [source])

    def _add(self, layer, inputs):
        self.nodes.append(Node(layer, tuple(inputs), layer.name))
        self.tensors[layer.name] = layer(*(self.tensors[name] for name in inputs))
        self.zero_points[layer.name] = layer.output_zero_point
        return layer.name


def resnet8(seed):
    """ResNet-8 for CIFAR-10 (image classification)."""
    net = _Builder(seed, (3, 32, 32))
    same, half = (1, 1, 1, 1), (0, 0, 1, 1)     # A stride of 2 needs no padding before.
    before = net.conv("input", 16, (3, 3), padding=same)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        inside = net.conv(before, channels, (3, 3), stride, same if stride == 1 else half)
        inside = net.conv(inside, channels, (3, 3), padding=same, relu=False)
        if stride > 1:
            before = net.conv(before, channels, (1, 1), stride, relu=False)
        before = net.add(before, inside)
    net.conv(net.average(before), 10, (1, 1), relu=False)
    return net.network()


def mobilenet(seed):
    """MobileNetV1 of width 0.25 for 96x96 pixels (visual wake words)."""
    net = _Builder(seed, (3, 96, 96))
    last = net.conv("input", 8, (3, 3), 2, (0, 0, 1, 1))
    channels = 8
    for outputs, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2),
                            *[(128, 1)] * 5, (256, 2), (256, 1)):
        last = net.conv(last, channels, (3, 3), stride, (stride % 2,) * 2 + (1, 1), depthwise=True)
        last = net.conv(last, outputs, (1, 1))
        channels = outputs
    net.conv(net.average(last), 2, (1, 1), relu=False)
    return net.network()


def ds_cnn(seed):
    """DS-CNN for 49 frames of 10 coefficients (keyword spotting)."""
    net = _Builder(seed, (1, 49, 10))
    last = net.conv("input", 64, (10, 4), 2, (4, 1, 5, 1))
    for _ in range(4):
        last = net.conv(last, 64, (3, 3), padding=(1, 1, 1, 1), depthwise=True)
        last = net.conv(last, 64, (1, 1))
    net.conv(net.average(last), 12, (1, 1), relu=False)
    return net.network()


#: By name, with the multiplications of a frame.
KNOWN_NETWORKS = {
    "resnet8": (resnet8, 12_501_632),
    "mobilenet": (mobilenet, 7_489_664),
    "ds_cnn": (ds_cnn, 2_656_768),
}
