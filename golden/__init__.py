"""What the numbers must be: the integer reference of every layer. Imports NumPy only."""

from golden.activation import clip, clip_bounds, relu, relu_bounds
from golden.batchnorm import batchnorm_fixed, batchnorm_infer, batchnorm_train
from golden.concat import ConcatLayer
from golden.conv import conv2d, output_size, resolve_padding, same_padding
from golden.elementwise import ElementwiseLayer
from golden.fold import Affine, fold_batchnorm, fold_zero_point
from golden.layer import ConvLayer, run_network
from golden.network import Network, Node
from golden.pool import PoolLayer
from golden.quantisation import Quantisation
from golden.requant import ROUNDINGS, quantise_multiplier, requantise

__all__ = ["ROUNDINGS", "Affine", "ConcatLayer", "ConvLayer", "ElementwiseLayer", "Network", "Node",
           "PoolLayer", "Quantisation", "batchnorm_fixed", "batchnorm_infer", "batchnorm_train",
           "clip", "clip_bounds", "conv2d", "fold_batchnorm", "fold_zero_point", "output_size",
           "quantise_multiplier", "relu", "relu_bounds", "requantise", "resolve_padding",
           "run_network", "same_padding"]
