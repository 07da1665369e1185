"""Random TFLite models: one operator each, and small graphs of them."""

import numpy as np

from scripts.fuzzing.tflite_parts import Parts, out_size, window_options

__all__ = ["OPERATORS", "Draw", "random_frames"]


class Draw(Parts):
    """A random model, operator by operator; parameters as for its :class:`Parts`."""

    # Operators: each takes a map and returns another

    def convolution(self, source, *, quantisation=None, same=False, channels=None):
        height, width, depth = source.shape[1:]
        kernel, stride, dilation = self.window(source, same=same)
        divisors = [group for group in range(1, depth + 1) if depth % group == 0]
        group = int(self.rng.choice(divisors)) if self.chance(0.3) and self.type == "INT8" else 1
        made = group * self.integers(1, 4, 1)[0] if channels is None else channels
        group = group if made % group == 0 else 1
        padding = "SAME" if same or self.chance(0.5) else "VALID"
        size = out_size((height, width), kernel, stride, dilation, padding)
        output = self.tensor((self.frames, *size, made), quantisation=quantisation)
        weight, bias = self.weights(source, output, (made, *kernel, depth // group), 0, made)
        return self.add("CONV_2D", [source.index, weight, bias], output, "Conv2DOptions",
                        Padding=padding, **window_options(stride, dilation), **self.fused())

    def depthwise(self, source):
        height, width, depth = source.shape[1:]
        kernel, stride, dilation = self.window(source)
        multiplier = int(self.rng.choice([1, 1, 2, 3]))
        made = depth * multiplier
        padding = "SAME" if self.chance(0.5) else "VALID"
        size = out_size((height, width), kernel, stride, dilation, padding)
        output = self.tensor((self.frames, *size, made))
        weight, bias = self.weights(source, output, (1, *kernel, made), 3, made)
        return self.add("DEPTHWISE_CONV_2D", [source.index, weight, bias], output,
                        "DepthwiseConv2DOptions", Padding=padding, DepthMultiplier=multiplier,
                        **window_options(stride, dilation), **self.fused())

    def pool(self, source, name):
        kernel, stride, _ = self.window(source)
        same = name == "MAX_POOL_2D" and self.chance(0.5)
        if name == "AVERAGE_POOL_2D" and self.chance(0.4):
            kernel, stride = list(source.shape[1:3]), [1, 1]
        padding = "SAME" if same else "VALID"
        size = out_size(source.shape[1:3], kernel, stride, (1, 1), padding)
        output = self.tensor((self.frames, *size, source.shape[3]),
                             quantisation=(source.scale, source.zero_point))
        return self.add(name, [source.index], output, "Pool2DOptions", Padding=padding,
                        FilterHeight=kernel[0], FilterWidth=kernel[1], StrideH=stride[0],
                        StrideW=stride[1], **self.fused())

    def max_pool(self, source):
        return self.pool(source, "MAX_POOL_2D")

    def average_pool(self, source):
        return self.pool(source, "AVERAGE_POOL_2D")

    def mean(self, source):
        keep = self.chance(0.5)
        shape = (self.frames, 1, 1, source.shape[3]) if keep else (self.frames, source.shape[3])
        output = self.tensor(shape, quantisation=self.near(source))
        axes = [[1, 2], [2, 1], [-3, -2]][self.rng.integers(3)]
        made = self.add("MEAN", [source.index, self.ints(axes)], output, "ReducerOptions",
                        KeepDims=keep)
        return made if keep else self.reshape(made, (self.frames, 1, 1, source.shape[3]))

    def sum(self, source, name):
        partners = [each for each in self.maps
                    if each.shape == source.shape and each.type == source.type]
        other = partners[self.rng.integers(len(partners))]
        output = self.tensor(source.shape, quantisation=self.near(source))
        pair = [source.index, other.index][::1 if self.chance(0.5) else -1]
        return self.add(name, pair, output, f"{name.capitalize()}Options", **self.fused())

    def residual(self, source):
        """A convolution beside a path that does nothing, added to it."""
        self.convolution(source, same=True, channels=source.shape[3])
        return self.sum(self.maps[-1], "ADD")

    def addition(self, source):
        return self.sum(source, "ADD")

    def subtraction(self, source):
        return self.sum(source, "SUB")

    def relu(self, source):
        name = str(self.rng.choice(["RELU", "RELU6", "RELU_N1_TO_1"]))
        quantisation = ((source.scale, source.zero_point) if self.chance(0.5)
                        else self.near(source))
        return self.add(name, [source.index], self.tensor(source.shape, quantisation=quantisation))

    def requantise(self, source):
        output = self.tensor(source.shape, quantisation=self.near(source))
        return self.add("QUANTIZE", [source.index], output)

    def pad(self, source):
        pads = np.zeros((4, 2), int)
        pads[1:3] = self.rng.integers(0, 3, (2, 2))
        output = self.tensor(np.array(source.shape) + pads.sum(axis=1),
                             quantisation=(source.scale, source.zero_point))
        inputs = [source.index, self.ints(pads)]
        if self.chance(0.5):
            return self.add("PAD", inputs, output)
        code = self.rng.integers(self.limits.min, self.limits.max + 1, ())
        inputs.append(self.constant(code, self.type, [source.scale], [source.zero_point]))
        return self.add("PADV2", inputs, output)

    def concatenation(self, source):
        quantisation = source.scale, source.zero_point
        parts = [source, *(self.convolution(source, quantisation=quantisation, same=True)
                           for _ in range(self.rng.integers(1, 3)))]
        parts = [parts[index] for index in self.rng.permutation(len(parts))]
        shape = (*source.shape[:3], sum(part.shape[3] for part in parts))
        output = self.tensor(shape, quantisation=quantisation)
        return self.add("CONCATENATION", [part.index for part in parts], output,
                        "ConcatenationOptions", Axis=int(self.rng.choice([3, -1])))

    def reshape(self, source, shape):
        output = self.tensor(shape, quantisation=(source.scale, source.zero_point))
        given = list(shape)
        if self.chance(0.5):
            given[self.rng.integers(len(given))] = -1
        if self.chance(0.3):
            return self.add("RESHAPE", [source.index], output, "ReshapeOptions", NewShape=given)
        return self.add("RESHAPE", [source.index, self.ints(given)], output)

    def dense(self, source):
        """FULLY_CONNECTED of a whole frame, with or without a flatten in front, or of pixels."""
        units, keep = self.integers(1, 12, 1)[0], self.chance(0.2)
        if keep:
            depth = source.shape[3]
            output = self.tensor((*source.shape[:3], units))
        else:
            if self.chance(0.7):
                source = self.reshape(source, (self.frames, int(np.prod(source.shape[1:]))))
            depth = int(np.prod(source.shape[1:]))
            output = self.tensor((self.frames, units))
        weight, bias = self.weights(source, output, (units, depth), 0, units)
        made = self.add("FULLY_CONNECTED", [source.index, weight, *([bias] * self.chance(0.8))],
                        output, "FullyConnectedOptions", KeepNumDims=keep, **self.fused())
        return made if keep else self.reshape(made, (self.frames, 1, 1, units))

    def softmax(self, source):
        output = self.tensor(source.shape, quantisation=(1 / 256, self.limits.min))
        beta = float(self.rng.choice([1.0, 1.0, 0.5, 2.0]))
        return self.add("SOFTMAX", [source.index], output, "SoftmaxOptions", Beta=beta)

    def graph(self, count):
        """A chain of ``count`` random operators with branches, in any of the usual frames."""
        kind, last = self.rng.choice(["codes", "codes", "float", "other"]), None
        if kind == "codes":
            last = self.input()
        else:
            inner = (*self.integers(3, 9), int(self.rng.choice([1, 2, 3, 4])))
            first = {"float": "FLOAT32", "other": "UINT8" if self.type == "INT8" else "INT8"}[kind]
            zero_point = self.zero_point() + (128 if first == "UINT8" else -128) * (kind == "other")
            source = self.tensor((self.frames, *inner), kind=first,
                                 quantisation=(self.scale(), zero_point))
            exact = kind == "other" and self.chance(0.5)
            last = self.tensor(source.shape, quantisation=(
                source.scale, zero_point - (128 if first == "UINT8" else -128)) if exact else None)
            self.add("QUANTIZE", [source.index], last)
        for _ in range(count):
            name = str(self.rng.choice(OPERATORS))
            last = getattr(self, name)(last)
        if self.chance(0.3):
            last = self.softmax(last)
        if self.chance(0.3):
            last = self.add("DEQUANTIZE", [last.index], self.tensor(last.shape, kind="FLOAT32"))
        return last


OPERATORS = ["convolution", "depthwise", "max_pool", "average_pool", "mean", "residual",
             "addition", "subtraction", "relu", "requantise", "pad", "concatenation", "dense"]
"""Names of the methods of `Draw` that take a map and return another."""


def random_frames(rng, port, count):
    """Frames for a model's input: codes, or reals that spread over all codes and beyond."""
    shape = (count, *port.shape)
    if port.dtype is not np.float32:
        limits = np.iinfo(port.dtype)
        return rng.integers(limits.min, limits.max + 1, shape, port.dtype)
    low, high = (-128, 127) if port.zero_point < 0 else (0, 255)
    steps = rng.uniform(low - 9, high + 10, shape) - port.zero_point
    ties = rng.random(shape) < 0.2
    steps[ties] = np.floor(steps[ties]) + 0.5
    return (steps.astype(np.float32) * np.float32(port.scale)).astype(np.float32)
