"""Accumulators of a convolution while they wait for their quantisation: how they become a layer.

Arithmetic. Accumulators are exact integers; each stands for ``factor`` reals, a float32 that is
computed as ONNX Runtime does, x_scale · w_scale. Quantised with y_scale they are multiplied by the
float32 (x_scale · w_scale) / y_scale, exactly, and rounded once, half to even. A bias that is no
int32 of scale x_scale · w_scale is rounded to the nearest accumulator, which moves a result by up
to x_scale · w_scale / (2 · y_scale) of a step before its own rounding.
"""

from dataclasses import dataclass, replace

import numpy as np

from compiler.onnx_values import Codes, Deferred
from compiler.onnx_window import Window
from golden.fold import fold_batchnorm
from golden.layer import ConvLayer
from golden.requant import quantise_multiplier

__all__ = ["Sums"]

INT32 = (-(2**31), 2**31 - 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sums(Deferred):
    """Convolution of codes by int8 weights, to be quantised.

    Members
    -------
    source : Codes
        What is convolved; the layer reads its tensor as it lies.
    zero_point : int
        Of ``source``.
    weight : array of int8, shape (Cout, Cin / group, kh, kw)
    window : Window
    group : int
    bias : array of int64, shape (Cout,)
        In accumulators.
    factor : array of float32, shape (Cout,)
        Real value of one accumulator.
    offset : array of float64, shape (Cout,), or None
        Real bias.
    gain : array of float64, shape (Cout,), or None
        Of a BatchNorm: the results are gain · (factor · acc + offset) + shift. None where there is
        none because the model is quantised already, and nothing but ``factor`` may scale it.
    shift : array of float64, shape (Cout,), or None
    integer : bool
        Whether the value is still int32, factor 1, as ConvInteger makes it.
    scales : tuple of str
        Names of the inputs that ``factor`` comes from, for error messages.
    """

    source: Codes
    zero_point: int
    weight: np.ndarray
    window: Window
    group: int
    bias: np.ndarray
    factor: np.ndarray
    offset: np.ndarray | None = None
    gain: np.ndarray | None = None
    shift: np.ndarray | None = None
    integer: bool = False
    scales: tuple = ("x_scale", "w_scale")

    @property
    def channels(self):
        """Cout."""
        return len(self.weight)

    def scaled(self, factor):
        """Times float32 ``factor``, one or one per channel, with a product in float32."""
        offset = None if self.offset is None else self.offset * factor
        with np.errstate(over="ignore", under="ignore"):
            return replace(self, factor=(self.factor * factor).astype(np.float32), offset=offset)

    def moved(self, offset):
        """Plus real ``offset``, one per channel."""
        if self.gain is not None:
            return replace(self, shift=self.shift + offset)
        before = 0 if self.offset is None else self.offset
        return replace(self, offset=before + np.asarray(offset, np.float64))

    def normalised(self, gain, shift):
        """gain · value + shift, one of each per channel, for a model that is quantised here."""
        return replace(self, gain=self.gain * gain, shift=self.shift * gain + shift)

    def settle(self, output, quantisation):
        """Add the convolution that makes the codes to the network, as tensor ``output``."""
        weight, bias, multiplier, shift = (
            self._exact(quantisation) if self.gain is None else self._folded(quantisation))
        # Not before it is sure to be needed: a name is given once.
        layer = ConvLayer(
            name=self.node.layer_name(), weight=weight, bias=bias, multiplier=multiplier,
            shift=shift, rounding="half_even", **self.window.fields(), group=self.group,
            input_zero_point=self.zero_point, input_unsigned=self.source.unsigned,
            output_zero_point=quantisation.zero_point, output_unsigned=quantisation.unsigned,
            **self.bounds(quantisation))
        return self.node.network.add(self.node, layer, (self.source,), output,
                                     layout=self.layout, quantisation=quantisation)

    def _exact(self, quantisation):
        """Weights, bias, multiplier and shift, with the factor's own float32 for a multiplier."""
        title = f"{' · '.join(self.scales)} / y_scale"
        with np.errstate(over="ignore", under="ignore"):
            scale = self.factor / np.float32(quantisation.scale)
        wrong = ~(np.isfinite(scale) & (scale != 0))
        if np.any(wrong):
            channel = int(np.argmax(wrong))
            raise self.node.fault(f"{title} of channel {channel} is {scale[channel]} in float32",
                                  "calibrate again")
        bias = self.bias
        if self.offset is not None:
            bias = bias + self._steps(self.offset / self.factor.astype(np.float64))
        self._check_accumulator(self.weight, bias)
        try:
            return (self.weight, bias, *quantise_multiplier(scale, rounding="half_even"))
        except ValueError as error:
            raise self.node.fault(f"{title}: {error}", "calibrate again") from error

    def _steps(self, steps):
        """Real accumulators as integers, or a fault."""
        beyond = ~(np.abs(steps) < 2.0**31)
        if np.any(beyond):
            channel = int(np.argmax(beyond))
            raise self.node.fault(f"the bias of channel {channel} is {steps[channel]} accumulators",
                                  "calibrate again: it must fit 32 bits")
        return np.rint(steps).astype(np.int64)

    def _folded(self, quantisation):
        """The same with a BatchNorm in the multiplier. A channel whose gain is so small that the
        accumulator's bias would leave 32 bits becomes a constant one."""
        assert self.gain is not None
        assert self.shift is not None
        gain = self.gain.copy()
        factor = self.factor.astype(np.float64)
        offset = np.zeros(self.channels) if self.offset is None else self.offset
        reach = self._reach(self.weight)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            steps = np.abs(offset + self.shift / gain) / factor
        gain[~(steps + np.maximum(reach[1], -reach[0]) < 2.0**31 - 1)] = 0
        zeros, ones = np.zeros(self.channels), np.ones(self.channels)
        # A constant far outside the codes' range would need a multiplier beyond its own.
        limit = 2.0**16 * quantisation.scale
        shift = np.where(gain == 0, np.clip(self.shift + self.gain * offset, -limit, limit),
                         self.shift)
        try:
            affine = fold_batchnorm(
                gain, shift, zeros, ones, epsilon=0.0, input_scale=1.0, weight_scale=factor,
                output_scale=quantisation.scale, conv_bias=np.where(gain == 0, 0, offset),
                rounding="half_even")
        except (OverflowError, ValueError) as error:
            raise self.node.fault(str(error), "give images that the model is for") from error
        return affine.apply_to(self.weight), affine.bias, affine.multiplier, affine.shift

    def _reach(self, weight):
        """Least and greatest sum of products of every channel, whatever the codes."""
        low, high = (limit - self.zero_point for limit in
                     ((0, 255) if self.source.unsigned else (-128, 127)))
        flat = weight.reshape(len(weight), -1).astype(np.int64)
        positive, negative = np.maximum(flat, 0).sum(axis=1), np.minimum(flat, 0).sum(axis=1)
        return positive * low + negative * high, positive * high + negative * low

    def _check_accumulator(self, weight, bias):
        """Refuse weights and bias with which some input leaves 32 bits."""
        least, greatest = (reach + bias for reach in self._reach(weight))
        wide = np.flatnonzero((greatest > INT32[1]) | (least < INT32[0]))
        if wide.size:
            channel = wide[0]
            raise self.node.fault(
                f"the accumulator of channel {channel} spans [{least[channel]}, "
                f"{greatest[channel]}], more than 32 bits", "reduce the bias or the input channels")
