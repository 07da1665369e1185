"""The first layer, folded in every way, is the same layer; and it is folded where that pays."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiler.fold import Fold, _fold, folds_of
from compiler.program import compile_network
from golden.network import Network
from hdl.config import Configuration
from tests.compiler.layers import LARGE, ODD, conv

DRAWN = settings(deadline=None, print_blob=True)

#: 8x16, so that no layer of a test is bound by its lanes.
WIDE = Configuration(name="wide", device="any", rows=8, columns=16, lanes=16, channels=8,
                     activation_words=9000, weight_words=9000)


def all_folds(layer, shape):
    """Every fold of a layer for frames of ``shape``, by its window."""
    out_size = layer.output_shape((1, *shape))[2:]
    windows = product(*(range(1, size + 1) for size in layer.weight.shape[2:]))
    return {window: fold for window in windows
            if (fold := _fold(layer, window, shape, out_size)) is not None}


def random_layer(rng):
    channels, taps = int(rng.integers(1, 4)), rng.integers(1, 6, 2).tolist()
    return conv("a", (3, channels, *taps), seed=int(rng.integers(100)),
                stride=tuple(rng.integers(1, 4, 2).tolist()),
                dilation=tuple(rng.integers(1, 4, 2).tolist()),
                padding=tuple(rng.integers(0, 4, 4).tolist()),
                input_zero_point=int(rng.integers(-128, 128)))


@DRAWN
@given(st.integers(0, 2**32 - 1))
def test_every_fold_computes_the_same(seed):
    rng = np.random.default_rng(seed)
    layer = random_layer(rng)
    spans = [(taps - 1) * step + 1 for taps, step in zip(layer.weight.shape[2:], layer.dilation,
                                                         strict=True)]
    shape = layer.weight.shape[1], *(span + int(rng.integers(4)) for span in spans)
    codes = rng.integers(-128, 128, (2, *shape)).astype(np.int8)
    folds = all_folds(layer, shape)
    assert {(1, 1), layer.weight.shape[2:]} <= set(folds)
    for window, fold in folds.items():
        folded = fold.fold(codes)
        assert folded.shape == (2, *fold.input_shape)
        assert fold.input_shape[0] == shape[0] * window[0] * window[1]
        np.testing.assert_array_equal(fold.folded_layer()(folded), layer(codes), str(window))


def test_a_full_fold_holds_what_is_under_the_kernel():
    layer = conv("a", (1, 3, 2, 3), padding=(1, 0, 2, 3), stride=(2, 1), dilation=(1, 2),
                 input_zero_point=-7)
    codes = np.random.default_rng(2).integers(-128, 128, (1, 3, 5, 6)).astype(np.int8)
    height, width = layer.output_shape(codes.shape)[2:]

    folded = all_folds(layer, (3, 5, 6))[2, 3].fold(codes)

    assert folded.shape == (1, 3 * 2 * 3, height, width)
    for channel, ky, kx, y, x in np.ndindex(3, 2, 3, height, width):
        row, column = 2 * y + ky - 1, x + 2 * kx
        inside = 0 <= row < 5 and 0 <= column < 6
        assert folded[0, (channel * 2 + ky) * 3 + kx, y, x] == (
            codes[0, channel, row, column] if inside else -7)


def compiled(layer, size, config=WIDE):
    """The layer before one that takes longer than any frame to come in."""
    long = conv("long", (200, 16, 3, 3), padding=(1, 1, 1, 1))
    return compile_network(Network.chain([layer, long], (layer.weight.shape[1], *size)), config)


@pytest.mark.parametrize(("shape", "stride", "window", "taps"), [
    ((16, 3, 3, 3), 1, (3, 3), (1, 1)),     # 4 words, not 9 of 3 channels.
    ((16, 8, 3, 3), 1, None, None),         # Full words as they are.
    ((16, 9, 3, 3), 1, (3, 3), (1, 1)),     # 11 words, not 18.
    ((16, 3, 1, 1), 1, None, None),
    ((16, 1, 10, 4), 2, (2, 4), (5, 1)),    # 5 full words, and no pixel more than half of the rows.
    ((16, 4, 2, 2), 2, (1, 2), (2, 1)),     # 2 full words; pixels in both are sent once.
])
def test_what_pays_most_is_folded(shape, stride, window, taps):
    before = [(size - 1) // 2 for size in shape[2:]]
    after = [size - 1 - pad for size, pad in zip(shape[2:], before, strict=True)]
    layer = conv("a", shape, padding=(*before, *after), stride=(stride, stride))
    program = compiled(layer, (9, 9))
    if window is None:
        assert program.fold is None
        assert program.network.input_shape == (shape[1], 9, 9)
        return
    assert program.fold.layer is layer
    assert program.input_words == len(program.pack(np.zeros((1, shape[1], 9, 9), np.int8)))
    with pytest.raises(ValueError, match="^Frames must have shape"):
        program.pack(np.zeros((1, shape[1], 10, 10), np.int8))
    assert (program.fold.rows.window, program.fold.columns.window) == window
    folded = program.network.nodes[0].layer
    assert folded.weight.shape == (16, shape[1] * window[0] * window[1], *taps)


def test_a_layer_that_computes_faster_than_its_frame_comes_in_is_folded_less():
    layer = conv("a", (16, 3, 3, 3), padding=(1, 1, 1, 1))
    alone = compile_network(Network.chain([layer], (3, 9, 9)), WIDE)
    assert compiled(layer, (9, 9)).network.input_shape == (27, 9, 9)
    assert alone.network.input_shape == (6, 9, 11)


def test_no_fold_is_offered_that_another_beats():
    layer = conv("a", (16, 3, 3, 3), padding=(1, 1, 1, 1))
    folds = list(folds_of(Network.chain([layer], (3, 32, 32)), WIDE, 1))
    shapes = [None if fold is None else fold.input_shape for fold in folds]
    # From 4 words of 4096 down to 9 words of 1024: 32 cycles a tile, 48 and 72.
    assert shapes == [(27, 32, 32), (6, 32, 34), None]
    assert all(isinstance(fold, Fold) for fold in folds[:-1])


def test_frames_too_large_for_memory_are_folded_less():
    layer = conv("a", (128, 3, 3, 3), padding=(1, 1, 1, 1))
    network = Network.chain([layer], (3, 16, 16))
    shapes = [compile_network(network, replace(WIDE, activation_words=words)).network.input_shape
              for words in (5120, 5119, 4383)]
    assert shapes == [(27, 16, 16), (6, 16, 18), (3, 16, 16)]


def test_frames_that_would_have_to_come_late_are_folded_less():
    """In 7000 words none can come beside the second layer."""
    layer = conv("a", (16, 3, 3, 3), padding=(1, 1, 1, 1))
    shapes = [compiled(layer, (16, 16), replace(WIDE, activation_words=words)).network.input_shape
              for words in (9000, 7000)]
    assert shapes == [(27, 16, 16), (6, 16, 18)]


@pytest.mark.parametrize("config", [ODD, LARGE], ids=lambda config: config.name)
def test_groups_stay_what_they_are(config):
    layer = conv("a", (3, 1, 3, 3), group=3)
    assert compile_network(Network.chain([layer], (3, 9, 9)), config).fold is None
