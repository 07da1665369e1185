"""What the numbers must be: the integer reference of every layer. Imports NumPy only."""

from golden.activation import clip, clip_bounds, relu, relu_bounds
from golden.batchnorm import batchnorm_fixed, batchnorm_infer, batchnorm_train
from golden.conv import conv2d, output_size, resolve_padding, same_padding
from golden.fold import Affine, fold_batchnorm, fold_zero_point
from golden.layer import ConvLayer, run_network
from golden.requant import ROUNDINGS, quantise_multiplier, requantise

__all__ = ["ROUNDINGS", "Affine", "ConvLayer", "batchnorm_fixed", "batchnorm_infer",
           "batchnorm_train", "clip", "clip_bounds", "conv2d", "fold_batchnorm",
           "fold_zero_point", "output_size", "quantise_multiplier", "relu", "relu_bounds",
           "requantise", "resolve_padding", "run_network", "same_padding"]
