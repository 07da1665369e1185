import re

import numpy as np
import pytest

from hdl.config import Configuration
from hdl.isa import Destination, Opcode, Status, assemble
from sim.interpreter import Interpreter

CONFIG = Configuration(name="small", device="any", rows=2, columns=3, lanes=1, channels=2,
                       activation_words=50, weight_words=40, coefficient_words=20,
                       program_words=70)
#: Two output pixels of one tap, a word each, and a block of three channels from word 10 on.
CONV = {"opcode": Opcode.CONV, "x_step": 1, "in_height": 1, "in_width": 2, "stride_x": 1,
        "out_width": 1, "pixels": 1, "low": -128, "high": 127, "out_base": 10, "out_step": 2,
        "out_groups": 2}


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


@pytest.mark.parametrize(("address", "changes", "status"), [
    (0, {"opcode": 4}, Status.ILLEGAL_INSTRUCTION),
    (55, {}, Status.ILLEGAL_ADDRESS),
    (0, {"base": 49}, Status.ILLEGAL_ADDRESS),
    (0, {"out_base": 48}, Status.ILLEGAL_ADDRESS),
    (0, {"weight_base": 39}, Status.ILLEGAL_ADDRESS),
    (0, {"coefficient_base": 18}, Status.ILLEGAL_ADDRESS),
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
