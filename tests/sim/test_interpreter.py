"""What instructions mean, worked out by hand."""

import re
from dataclasses import replace

import numpy as np
import pytest

from hdl.config import Configuration
from hdl.isa import Destination, Opcode, Status, assemble
from sim.interpreter import Interpreter

CONFIG = Configuration(name="small", device="any", rows=2, columns=3, lanes=1, channels=2,
                       activation_words=50, weight_words=40, coefficient_words=280,
                       program_words=70, window_width=5, vector=True)
#: Two output pixels of one tap, a word each, and a block of three channels from word 10 on.
CONV = {"opcode": Opcode.CONV, "x_step": 1, "in_height": 1, "in_width": 2, "stride_x": 1,
        "out_width": 1, "pixels": 1, "low": -128, "high": 127, "out_base": 10, "out_step": 2,
        "out_groups": 2}
#: Of the tables' entries, and of the channels' records behind them.
TABLE = 16
#: A window on 3 rows of 4 words, the first row and the last word padding: two output pixels.
DEPTHWISE = {"opcode": Opcode.DEPTHWISE, "base": 0x10000 - 3, "x_step": 1, "y_step": 3,
             "in_height": 2, "in_width": 3, "stride_x": 1, "stride_y": 1, "pad_top": 1,
             "pad_code": 2, "out_height": 2, "out_width": 3, "pixels": 11, "tiles": 5,
             "window_stride_y": 1, "window_stride_x": 1, "out_pixels": 1, "weight_base": 10,
             "low": -128, "high": 127, "out_base": 10, "out_step": 1, "out_groups": 1}
#: Two words each for two output words: the one, and the one after the next.
VECTOR = {"opcode": Opcode.VECTOR, "x_step": 1, "tap_x_step": 2, "in_height": 1, "in_width": 1,
          "out_width": 1, "pixels": 1, "kernel_width": 1, "last_step": 1, "low": -128, "high": 127,
          "out_base": 10, "out_step": 1, "out_groups": 1}


def loaded(*instructions):
    interpreter = Interpreter(CONFIG)
    interpreter.load(Destination.PROGRAM, 0,
                     [word for fields in instructions for word in assemble(**fields)])
    interpreter.load(Destination.WEIGHTS, 0, np.array([[1, 2, 255], [0, 3, 1]], np.uint8))
    interpreter.load(Destination.COEFFICIENTS, 0, [
        {"bias": 4, "multiplier": 1}, {"multiplier": -1, "shift": 1},
        {"multiplier": 1, "shift": 1, "rounding": 1}])
    interpreter.load(Destination.ACTIVATIONS, 0, np.array([[5, 7], [200, 1]], np.uint8))
    return interpreter


@pytest.mark.parametrize(("changes", "expected"), [
    # Sums 5, 31, 2 and -56, -109, 57; biased, halved, rounded: half up, and half to even.
    ({}, [[9, -15], [1, 0], [-52, 55], [28, 0]]),
    ({"low": -10, "high": 8}, [[8, -10], [1, 0], [-10, 8], [8, 0]]),
    ({"zero": 1}, [[10, -14], [2, 0], [-51, 56], [29, 0]]),
    # Less 128: -123, -609, 2 and 72, -237, -199.
    ({"unsigned": 1}, [[-119, 127], [1, 0], [76, 119], [-100, 0]]),
    # The second pixel lies in the padding: sums 9, 45, 0.
    ({"in_width": 1, "pad_code": 9}, [[9, -15], [1, 0], [13, -22], [0, 0]]),
    ({"out_groups": 1}, [[9, -15], [0, 0], [-52, 55], [0, 0]]),
    ({"out_step": 1}, [[9, -15], [-52, 55], [28, 0], [0, 0]]),
])
def test_convolution_by_hand(changes, expected):
    interpreter = loaded(CONV | changes, {"opcode": Opcode.END})
    outcome = interpreter.run([], count=1)
    assert outcome.status == Status.DONE
    assert outcome.sent == ()
    assert interpreter.activations[10:14].view(np.int8).tolist() == expected


def test_frames_go_round_until_all_are_done():
    receive = {"opcode": Opcode.RECEIVE, "base": 3, "pixels": 1}
    send = {"opcode": Opcode.SEND, "base": 4, "x_step": 0xFFFF, "in_height": 1, "in_width": 1,
            "out_width": 1, "pixels": 1}
    frames = list(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))
    end = {"opcode": Opcode.END, "base": 16}
    outcome = loaded(receive, send, {**receive, "next": 1}, end).run(frames)
    assert outcome.status == Status.DONE
    assert [words.tolist() for words in outcome.sent] == [
        frame[::-1].tolist() for frame in frames]
    waiting = loaded(receive, send, {**receive, "next": 1}, end).run(frames[:2], count=3)
    assert waiting.status == Status.NONE
    assert len(waiting.sent) == 2


def slides(changes):
    """The codes of two output pixels under a window of the interpreter's weights."""
    interpreter = loaded(DEPTHWISE | changes, {"opcode": Opcode.END})
    # Channel 0: 1 to 9, tap by tap; channel 1: the middle one alone. In words of three bytes.
    weights = np.zeros((9, 2), np.uint8)
    weights[:, 0] = np.arange(1, 10)
    weights[4, 1] = 255
    interpreter.load(Destination.WEIGHTS, 10, weights.reshape(6, 3))
    interpreter.load(Destination.COEFFICIENTS, 0, [
        {"bias": 4, "multiplier": 1}, {"multiplier": 1}])
    codes = np.array([[1, 20], [0, 30], [3, 40], [0, 50], [2, 60], [0, 70]], np.uint8)
    interpreter.load(Destination.ACTIVATIONS, 0, codes)
    return interpreter, interpreter.run([], count=1).status


@pytest.mark.parametrize(("changes", "expected"), [
    # Padding of 2 above: 2 * (1 + 2 + 3), then 1 * 4 + 3 * 6 + 2 * 8, and 4 beside it.
    ({}, [[12 + 38 + 4, -30], [12 + 0 * 4 + 3 * 5 + 2 * 6 + 2 * 7 + 0 * 8 + 2 * 9 + 4, -40]]),
    # Less 128 each: -45 * 128 of channel 0, whose codes saturate.
    ({"unsigned": 1}, [[-128, 98], [-128, 88]]),
    ({"window_stride_x": 2, "out_pixels": 0}, [[54, -30], [0, 0]]),
    ({"window_stride_x": 15, "window_stride_y": 15, "out_pixels": 0}, [[54, -30], [0, 0]]),
    ({"out_groups": 0}, [[54, 0], [75, 0]]),
])
def test_window_by_hand(changes, expected):
    interpreter, status = slides(changes)
    assert status == Status.DONE
    assert interpreter.activations[10:12].view(np.int8).tolist() == expected


@pytest.mark.parametrize("changes", [
    {"window_stride_x": 0}, {"window_stride_y": 0}, {"out_pixels": 0}, {"out_pixels": 2},
    {"out_height": 1, "pixels": 7, "tiles": 3},                 # Two rows.
    {"out_width": 1, "pixels": 5, "tiles": 2},                  # Two columns.
    {"out_width": 5, "pixels": 17, "tiles": 8, "out_pixels": 3},    # Longer than the lines.
    {"kernel_width": 1, "last_step": 1}, {"tap_words": 1, "last_step": 1}, {"pixels": 12},
])
def test_windows_that_contradict_themselves(changes):
    assert slides(changes)[1] == Status.ILLEGAL_INSTRUCTION


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, [[15, 10], [-86, 6]]),
    ({"maximum": 1}, [[10, 7], [-30, 5]]),
    ({"maximum": 1, "unsigned": 1, "high": 255}, [[10, 7], [226, 5]]),
    ({"zero": -3}, [[12, 7], [-89, 3]]),
    # Past the input lies padding: the first of two taps alone is inside.
    ({"dilation_x": 1, "pad_code": 253}, [[2, 4], [-59, -2]]),
    # Entries i for even taps and -2i for odd ones, whatever the type.
    ({"table": 1, "coefficient_base": TABLE}, [[-15, 1], [-128, -9]]),
    ({"table": 1, "coefficient_base": TABLE, "maximum": 1}, [[5, 7], [127, 1]]),
])
def test_vector_by_hand(changes, expected):
    interpreter = loaded(VECTOR | changes, {"opcode": Opcode.END})
    interpreter.load(Destination.COEFFICIENTS, 0, [{"multiplier": 1}] * 2)
    interpreter.load(Destination.COEFFICIENTS, TABLE, [
        *({"bias": entry, "multiplier": -2 * entry} for entry in range(256)),
        {"multiplier": 1}, {"multiplier": 1}])
    interpreter.load(Destination.ACTIVATIONS, 0, np.array(
        [[5, 7], [200, 1], [10, 3], [226, 5]], np.uint8))
    assert interpreter.run([], count=1).status == Status.DONE
    assert interpreter.activations[10:12].view(np.int8).tolist() == [
        [code - 256 if code > 127 else code for code in word] for word in expected]


@pytest.mark.parametrize("fields", [DEPTHWISE, VECTOR])
def test_units_that_are_absent(fields):
    config = replace(CONFIG, window_width=0, vector=False)
    interpreter = Interpreter(config)
    interpreter.load(Destination.PROGRAM, 0, assemble(**fields))
    assert interpreter.run([], count=1).status == Status.ILLEGAL_INSTRUCTION


@pytest.mark.parametrize(("address", "changes", "status"), [
    (0, {"opcode": 6}, Status.ILLEGAL_INSTRUCTION),
    (55, {}, Status.ILLEGAL_ADDRESS),
    (0, {"base": 49}, Status.ILLEGAL_ADDRESS),
    (0, {"out_base": 48}, Status.ILLEGAL_ADDRESS),
    (0, {"weight_base": 39}, Status.ILLEGAL_ADDRESS),
    (0, {"coefficient_base": 278}, Status.ILLEGAL_ADDRESS),
    (0, {"tiles": 1}, Status.ILLEGAL_INSTRUCTION),
])
def test_stops_with_a_reason(address, changes, status):
    interpreter = loaded(CONV | changes, {"opcode": Opcode.END})
    assert interpreter.run([], address=address, count=1).status == status
    assert interpreter.run([], address=16, count=1).status == Status.DONE


def test_what_is_loaded_must_fit():
    with pytest.raises(ValueError, match=re.escape(
            "3 words at 48 are more than the 50 of activations")):
        Interpreter(CONFIG).load(Destination.ACTIVATIONS, 48, np.zeros((3, 2), np.uint8))
