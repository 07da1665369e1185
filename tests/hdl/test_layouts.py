import pytest

from hdl.layouts import Coefficients, Rounding, Tags, Tile


@pytest.mark.parametrize(("name", "shift", "code"), [
    ("half_up", 40, Rounding.HALF_UP), ("half_even", 3, Rounding.HALF_EVEN),
    ("tflite", 30, Rounding.HALF_UP), ("tflite", 31, Rounding.TFLITE)])
def test_rounding_codes(name, shift, code):
    """Below a shift of 31, TFLite's mode rounds once."""
    assert Rounding.encode(name, shift) == code


@pytest.mark.parametrize(("layout", "fields"), [
    (Tile(), {"last_step": (0, 16), "renew": (16, 1), "unsigned": (17, 1)}),
    (Coefficients(), {"bias": (0, 32), "multiplier": (32, 32), "shift": (64, 6),
                      "rounding": (70, 2), "zero": (72, 9), "low": (81, 9), "high": (90, 9),
                      "last": (99, 1)}),
    (Tags(), {"first": (0, 1), "capture": (1, 1), "shift": (2, 1)}),
])
def test_bits_of_a_payload(layout, fields):
    """Position and width: whoever feeds the generated Verilog packs these."""
    assert {name: (field.offset, field.width) for name, field in layout} == fields
