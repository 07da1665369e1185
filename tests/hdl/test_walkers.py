import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.walkers import PixelWalker, TapWalker
from tests.hdl.bench import trace

ADDRESSES = st.integers(0, 0xFFFF)
BYTES = st.one_of(st.integers(0, 3), st.integers(0, 255))
PIXELS = st.fixed_dictionaries({
    "base": ADDRESSES, "x_step": ADDRESSES, "y_step": ADDRESSES, "frame_step": ADDRESSES,
    "block_step": ADDRESSES, "pad_top": BYTES, "pad_left": BYTES, "stride_y": BYTES,
    "stride_x": BYTES,
    "out_height": st.integers(0, 4), "out_width": st.integers(0, 4), "frames": st.integers(0, 2),
})
TAPS = st.fixed_dictionaries({
    "tap_x_step": ADDRESSES, "tap_y_step": ADDRESSES, "dilation_y": BYTES, "dilation_x": BYTES,
    "kernel_height": st.integers(0, 3), "kernel_width": st.integers(0, 3),
    "tap_words": st.integers(0, 3),
})


def pixels(layer, origin):
    """(address, y, x) of all output pixels, in order."""
    return [((origin + frame * layer["frame_step"] + row * layer["y_step"]
              + column * layer["x_step"]) % 2**16,
             row * layer["stride_y"] - layer["pad_top"],
             column * layer["stride_x"] - layer["pad_left"])
            for frame in range(layer["frames"] + 1)
            for row in range(layer["out_height"] + 1)
            for column in range(layer["out_width"] + 1)]


def taps(layer):
    """(offset, y, x) of all words of a pixel, in order."""
    return [((row * layer["tap_y_step"] + column * layer["tap_x_step"] + word) % 2**16,
             row * layer["dilation_y"], column * layer["dilation_x"])
            for row in range(layer["kernel_height"] + 1)
            for column in range(layer["kernel_width"] + 1)
            for word in range(layer["tap_words"] + 1)]


def walks(source, layer, lengths, pace):
    """Stimulus of walks of so many steps, and more cycles to rest at random."""
    stimulus = [{"layer": layer}]
    for length in lengths:
        stimulus += [{"clear": 1, "restart": 0, "advance": 0},
                     {"clear": 0, "restart": 1, "advance": 0}]
        while length:
            advance = int(source.random() < pace)
            stimulus.append({"restart": 0, "advance": advance})
            length -= advance
    return [*stimulus, {"restart": 0, "advance": 0}]


@settings(max_examples=60, deadline=None)
@given(layer=PIXELS, seed=st.integers(0, 999), pace=st.sampled_from([0.4, 1]),
       fill=st.integers(0, 2))
def test_pixels_in_order(layer, seed, pace, fill):
    """A first walk breaks off anywhere; a second one goes beyond the end of a block by ``fill``
    pixels, and from there to the next block, and of that beyond the end."""
    source = random.Random(seed)
    number = len(pixels(layer, 0))
    stimulus = walks(source, layer, [source.randrange(number), 2 * (number + fill) + 1], pace)
    restarts = [index for index, cycle in enumerate(stimulus) if cycle.get("restart")]
    place = 0
    for cycle in stimulus[restarts[1] + 1:]:
        cycle["jump"] = int(place == number + fill - 1)
        place += cycle["advance"]
        if cycle["advance"] and cycle["jump"]:
            place = number + fill

    seen = trace(PixelWalker(), stimulus,
                 ["clear", "restart", "advance", "jump", "last", "pixel"])

    expected, place, block, passed = [], 0, 0, 0
    for now, following in itertools.pairwise(seen):
        clear, restart, advance, jump, last, _ = now
        pixel = following[-1]
        if place < len(expected):
            assert (pixel.address, pixel.y, pixel.x, pixel.live) == (*expected[place], 1)
            assert last == (place == number - 1)
        elif expected:
            assert not pixel.live
            passed += 1
        place += advance
        if clear:
            expected = []
        elif restart or (advance and jump):
            block = 0 if restart else block + 1
            expected, place = pixels(layer, layer["base"] + block * layer["block_step"]), 0
    assert block == 1
    assert passed >= fill


@settings(max_examples=60, deadline=None)
@given(layer=TAPS, seed=st.integers(0, 999), pace=st.sampled_from([0.4, 1]))
def test_taps_in_order_again_and_again(layer, seed, pace):
    """A first walk breaks off anywhere, a second one goes round more than twice."""
    source = random.Random(seed)
    expected = taps(layer)
    stimulus = walks(source, layer, [source.randrange(len(expected)), 2 * len(expected) + 1], pace)

    seen = trace(TapWalker(), stimulus,
                 ["clear", "restart", "advance", "last", "offset", "y", "x"])

    place = None
    for (clear, restart, advance, last, *_), (*_, offset, y, x) in itertools.pairwise(seen):
        if place is not None:
            assert (offset, y, x) == expected[place]
            assert last == (place == len(expected) - 1)
            place = (place + advance) % len(expected)
        if clear:
            place = None
        elif restart:
            place = 0
    assert place == 1 % len(expected)


def test_pixels_in_the_padding_have_addresses_modulo_memory():
    """As a layer with padding has them: the first pixel lies before the input."""
    layer = {"base": (100 - 8 - 2) % 2**16, "out_height": 1, "out_width": 1, "x_step": 2,
             "y_step": 8, "pad_top": 1, "pad_left": 1, "stride_y": 1, "stride_x": 1}
    stimulus = [{"layer": layer, "clear": 1}, {"clear": 0, "restart": 1},
                *[{"restart": 0, "advance": 1}] * 5]
    seen = [pixel for (pixel,) in trace(PixelWalker(), stimulus, ["pixel"])]
    assert [(each.address, each.y, each.x, each.live) for each in seen[3:]] == [
        (90, -1, -1, 1), (92, -1, 0, 1), (98, 0, -1, 1), (100, 0, 0, 1)]
