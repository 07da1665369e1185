"""Random networks of every geometry that a program can express."""

from dataclasses import replace

import numpy as np

from compiler.program import compile_network
from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.network import Network, Node
from golden.pool import PoolLayer
from tests.cosim.layers import bias_room, limits, scale_shift

__all__ = ["network", "random_network", "spread"]


ROUNDINGS = ["half_even", "tflite", "half_up"]


def network(rng, config, *, macs, most=6):
    """A compiled network of up to ``most`` layers that fits ``config``, and frames for it.

    Returns
    -------
    network : golden.network.Network
    program : Program
    frames : int8 or uint8 array, shape (N, C, H, W)
    """
    while True:
        drawn, frames = random_network(rng, config, macs=macs, most=most)
        try:
            batch = int(rng.choice([1, 1, 2, 3]))
            program = compile_network(drawn, config, batch=1 if config.lean else batch)
        except ValueError as error:
            if "The network needs" not in str(error):
                raise
            continue
        return drawn, program, frames


def random_network(rng, config, *, macs, most):
    """A network of up to ``most`` layers of up to ``macs`` MACs a frame each, and frames for it."""
    unsigned = bool(rng.integers(2))
    low, high = limits(unsigned)
    shape = (int(rng.integers(1, 1 + rng.choice([1, 3, 8, 19]))),
             *rng.integers(1, 1 + rng.choice([1, 4, 9, 14]), 2).tolist())
    frames = rng.integers(low, high + 1, (rng.integers(1, 5), *shape)).astype(
        np.uint8 if unsigned else np.int8)
    drawing = _Drawing(rng, frames, macs * len(frames), vector=config.vector)
    nodes = []
    while not nodes:
        nodes = [node for _ in range(rng.integers(1, 1 + most)) if (node := drawing.node())]
    return Network(input="input", input_shape=shape, input_unsigned=unsigned, nodes=tuple(nodes),
                   output=nodes[-1].output), frames


class _Drawing:
    """The tensors drawn so far, and what each next node does with them."""

    def __init__(self, rng, frames, macs, *, vector):
        self.rng = rng
        self.macs = macs
        self.tensors = {"input": frames}
        self.zero_points = {"input": self._zero(frames.dtype == np.uint8)}
        self.makers = [self._convolution] * 4 + [self._same_convolution] * 3
        self.makers += [self._concatenation]
        # Sums of pools can do without a vector unit.
        self.makers += ([self._pooling, self._addition, self._addition, self._unary] if vector
                        else [self._sum_pooling])

    def node(self):
        """Add a node and return it; None if it would take too long."""
        number = len(self.tensors)
        made = self.makers[self.rng.integers(len(self.makers))](f"layer{number}")
        if made is None:
            return None
        layer, inputs = made
        output = f"tensor{number}"
        self.tensors[output] = layer(*(self.tensors[name] for name in inputs))
        if not isinstance(layer, ConcatLayer):
            self.zero_points[output] = layer.output_zero_point
        return Node(layer, tuple(inputs), output)

    def _zero(self, unsigned):
        return int(self.rng.choice([*limits(unsigned), 3]))

    def _choose(self):
        """A tensor's name, likely one of the last."""
        names = list(self.tensors)
        return names[-1 - min(int(self.rng.geometric(0.6)) - 1, len(names) - 1)]

    def _convolution(self, name):
        source = self._choose()
        outputs = int(self.rng.integers(1, 1 + self.rng.choice([2, 9, 21])))
        return self._layer(name, source, outputs,
                           *_geometry(self.rng, self.tensors[source].shape[2:]))

    def _same_convolution(self, name):
        """One whose output can be added to its input; if depthwise, one for the window unit."""
        source = self._choose()
        return self._layer(name, source, self.tensors[source].shape[1], *_same(self.rng))

    def _layer(self, name, source, outputs, geometry, kernel):
        """A convolution whose sums are spread over its codes."""
        rng, codes = self.rng, self.tensors[source]
        channels = codes.shape[1]
        group = int(rng.choice([1, channels, rng.choice(
            [group for group in range(1, channels + 1) if channels % group == 0])]))
        outputs = 1 if group > 1 and rng.integers(2) else -(-outputs // group)
        weight = rng.integers(-128, 128, (group * outputs, channels // group, *kernel))
        zero = np.zeros(len(weight), int)
        unsigned = codes.dtype == np.uint8
        layer = ConvLayer(
            name=name, weight=weight, bias=zero, multiplier=zero, shift=zero, group=group,
            input_unsigned=unsigned, **geometry, **_output(rng),
            input_zero_point=self.zero_points.get(source, self._zero(unsigned)))
        if layer.macs(codes.shape) > self.macs:
            return None
        kind = rng.choice(["fitting", "fitting", "fitting", "ties", "any"])
        bias, multiplier, shift = scale_shift(rng, kind, layer.accumulate(codes),
                                              bias_room(weight))
        return replace(layer, bias=bias, multiplier=multiplier, shift=shift), [source]

    def _pooling(self, name):
        return self._pool(name, str(self.rng.choice(["max", "sum"])))

    def _sum_pooling(self, name):
        return self._pool(name, "sum")

    def _pool(self, name, kind):
        rng, source = self.rng, self._choose()
        codes = self.tensors[source]
        geometry, kernel = (_geometry(rng, codes.shape[2:]) if rng.integers(3)
                            else ({}, codes.shape[2:]))
        unsigned = codes.dtype == np.uint8
        low, high = limits(unsigned)
        layer = PoolLayer(name=name, kind=kind, kernel=tuple(kernel), input_unsigned=unsigned,
                          pad_code=int(rng.integers(low, high + 1)), **geometry, **_output(rng))
        if np.prod(layer.output_shape(codes.shape)) * np.prod(kernel) > self.macs:
            return None
        if kind == "max" and rng.integers(2):
            return layer, [source]
        return spread(rng, layer, [codes]), [source]

    def _addition(self, name):
        """Of two tensors of the same shape, or one twice."""
        rng, first = self.rng, self._choose()
        shape = self.tensors[first].shape
        alike = [other for other, codes in self.tensors.items() if codes.shape == shape]
        others = [other for other in alike if other != first]
        pair = [first, str(rng.choice(others if others and rng.integers(8) else alike))]
        if rng.integers(2):
            pair.reverse()
        return self._tabulated(name, pair)

    def _unary(self, name):
        return self._tabulated(name, [self._choose()])

    def _tabulated(self, name, inputs):
        rng, codes = self.rng, [self.tensors[each] for each in inputs]
        reach = int(rng.choice([200, 2**20, 2**29]))
        layer = ElementwiseLayer(
            name=name, tables=rng.integers(-reach, reach, (len(inputs), 256)),
            input_unsigned=tuple(each.dtype == np.uint8 for each in codes), **_output(rng))
        return spread(rng, layer, codes), inputs

    def _concatenation(self, name):
        """Of one to three tensors of the same size and type, some of which may be the same."""
        first = self._choose()
        codes = self.tensors[first]
        alike = [other for other, others in self.tensors.items()
                 if others.dtype == codes.dtype and others.shape[2:] == codes.shape[2:]]
        inputs = [first, *self.rng.choice(alike, self.rng.integers(3)).tolist()]
        self.rng.shuffle(inputs)
        if sum(self.tensors[each].shape[1] for each in inputs) > 64:
            return None
        return ConcatLayer(name=name, inputs=len(inputs), unsigned=codes.dtype == np.uint8), inputs


def _random_axis(rng, size):
    """Kernel, stride, dilation and padding along an axis of ``size``."""
    before, after = (int(rng.integers(0, 1 + rng.choice([0, 1, 3, 9]))) for _ in range(2))
    padded = size + before + after
    taps = int(rng.integers(1, 1 + min(padded, rng.choice([1, 3, 5, 16]))))
    widest = min((padded - 1) // max(1, taps - 1), rng.choice([1, 1, 2, 4]))
    return (taps, int(rng.integers(1, 1 + rng.choice([1, 2, 5]))),
            int(rng.integers(1, 1 + max(1, widest))), (before, after))


def _geometry(rng, size):
    axes = [_random_axis(rng, each) for each in size]
    kernel, stride, dilation, ((top, bottom), (left, right)) = zip(*axes, strict=True)
    return {"stride": stride, "dilation": dilation, "padding": (top, left, bottom, right)}, kernel


def _same(rng):
    """A geometry that keeps the size."""
    kernel = rng.choice([1, 2, 3], 2).tolist()
    before = [int(rng.integers(taps)) for taps in kernel]
    after = [taps - 1 - pad for taps, pad in zip(kernel, before, strict=True)]
    return {"padding": (*before, *after)}, kernel


def _output(rng):
    unsigned = bool(rng.integers(2))
    low, high = limits(unsigned)
    return {"output_unsigned": unsigned, "output_zero_point": int(rng.choice([low, high, 5, 60])),
            "low": int(rng.choice([low, low, 5])), "high": int(rng.choice([high, high, 90])),
            "rounding": str(rng.choice(ROUNDINGS))}


def spread(rng, layer, codes):
    """The layer with a scale that spreads its sums over its codes."""
    sums = np.asarray(layer.accumulate(*codes), np.int64)
    deviation = max(40.0, float(sums.std())) * rng.uniform(0.7, 2)
    bias = int(np.clip(round(rng.normal(0, deviation) - sums.mean()), -2**24, 2**24))
    bits = int(rng.integers(1, 31))
    multiplier = int(rng.integers(1 << bits, 2 << bits)) * int(rng.choice([-1, 1]))
    shift = int(np.clip(round(np.log2(abs(multiplier) * deviation / 60)), 0, 62))
    return replace(layer, bias=bias, multiplier=multiplier, shift=shift)
