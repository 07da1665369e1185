import random

from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.walkers import PixelWalker, TapWalker
from tests.hdl.bench import trace

ADDRESSES = st.integers(0, 0xFFFF)
BYTES = st.one_of(st.integers(0, 3), st.integers(0, 255))
PIXELS = st.fixed_dictionaries({
    "x_step": ADDRESSES, "y_step": ADDRESSES, "frame_step": ADDRESSES,
    "pad_top": BYTES, "pad_left": BYTES, "stride_y": BYTES, "stride_x": BYTES,
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
        # To restart counts for more than to advance.
        stimulus.append({"restart": 1, "advance": source.randrange(2)})
        while length:
            advance = int(source.random() < pace)
            stimulus.append({"restart": 0, "advance": advance})
            length -= advance
    return [*stimulus, {"restart": 0, "advance": 0}]


@settings(max_examples=60, deadline=None)
@given(layer=PIXELS, origins=st.tuples(ADDRESSES, ADDRESSES), seed=st.integers(0, 999),
       pace=st.sampled_from([0.4, 1]))
def test_pixels_in_order(layer, origins, seed, pace):
    """A first walk breaks off anywhere, a second one goes beyond its end."""
    source = random.Random(seed)
    number = len(pixels(layer, 0))
    stimulus = walks(source, layer, [source.randrange(number), number + 2], pace)
    places = iter(origins)
    for cycle in stimulus:
        if cycle.get("restart"):
            cycle["origin"] = next(places)

    seen = trace(PixelWalker(), stimulus, ["restart", "advance", "origin", "pixel", "last"])

    expected, place, passed = [], 0, 0
    for restart, advance, origin, pixel, last in seen:
        if place < len(expected):
            assert (pixel.address, pixel.y, pixel.x, pixel.live) == (*expected[place], 1)
            assert last == (place == number - 1)
        elif expected:
            assert not pixel.live
            passed += 1
        place += advance
        if restart:
            expected, place = pixels(layer, origin), 0
    assert passed >= 2


@settings(max_examples=60, deadline=None)
@given(layer=TAPS, seed=st.integers(0, 999), pace=st.sampled_from([0.4, 1]))
def test_taps_in_order_again_and_again(layer, seed, pace):
    """A first walk breaks off anywhere, a second one goes round more than twice."""
    source = random.Random(seed)
    expected = taps(layer)
    stimulus = walks(source, layer, [source.randrange(len(expected)), 2 * len(expected) + 1], pace)

    seen = trace(TapWalker(), stimulus,
                 ["restart", "advance", "offset", "y", "x", "first", "last"])

    place = None
    for restart, advance, *word, first, last in seen:
        if place is not None:
            assert tuple(word) == expected[place]
            assert (first, last) == (place == 0, place == len(expected) - 1)
            place = (place + advance) % len(expected)
        if restart:
            place = 0
    assert place == 1 % len(expected)


def test_pixels_in_the_padding_have_addresses_modulo_memory():
    """As a layer with padding has them: the first pixel lies before the input."""
    layer = {"out_height": 1, "out_width": 1, "x_step": 2, "y_step": 8, "pad_top": 1,
             "pad_left": 1, "stride_y": 1, "stride_x": 1}
    stimulus = [{"layer": layer, "restart": 1, "origin": (100 - 8 - 2) % 2**16},
                *[{"restart": 0, "advance": 1}] * 4]
    seen = [pixel for (pixel,) in trace(PixelWalker(), stimulus, ["pixel"])]
    assert [(each.address, each.y, each.x, each.live) for each in seen[1:]] == [
        (90, -1, -1, 1), (92, -1, 0, 1), (98, 0, -1, 1), (100, 0, 0, 1)]
