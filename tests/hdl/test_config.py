import json
import re
from dataclasses import FrozenInstanceError, replace

import pytest

from hdl.config import CONFIGURATIONS, MULTIPLIERS, Configuration, load
from hdl.multiplier import multiplier_class
from hdl.vendor import FAMILIES

FIELDS = {"name": "mine", "device": "lfe5u-25f", "rows": 2, "columns": 4, "lanes": 2,
          "channels": 3}


@pytest.mark.parametrize(("name", "rows", "columns"), [
    ("tiny", 2, 2), ("icebreaker", 4, 4), ("ecp5-25f", 8, 4), ("ecp5-85f", 8, 16),
    ("ecp5-85f-8x8", 8, 8), ("ecp5-85f-16x16", 16, 16)])
def test_named_configurations(name, rows, columns):
    """Others rely on these names and sizes."""
    config = load(name)
    assert (config.name, config.rows, config.columns) == (name, rows, columns)
    assert config is CONFIGURATIONS[name]


def test_named_multipliers_exist():
    assert len({multiplier_class(name) for name in MULTIPLIERS}) == len(MULTIPLIERS)


@pytest.mark.parametrize(("multiplier", "family"), [
    ("portable", "portable"), ("lut", "portable"), ("ecp5", "ecp5"), ("ice40", "ice40")])
def test_family_is_that_of_the_multipliers(multiplier, family):
    config = Configuration(**FIELDS | {"multiplier": multiplier})
    assert config.family == multiplier_class(multiplier).family == family
    assert family in FAMILIES


def test_defaults():
    config = Configuration(**FIELDS)
    assert (config.multiplier, config.lane_interval, config.accumulator_width) == (
        "portable", 1, 32)


def test_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Configuration(**FIELDS).rows = 3


def test_lean_instructions_are_as_wide_as_the_memories():
    config = CONFIGURATIONS["icebreaker"]
    small = replace(config, activation_words=512, weight_words=600)
    assert config.instruction.widths["base"] == 15
    assert small.instruction.widths | {"base": 10, "weight_base": 10} == small.instruction.widths
    assert not replace(config, lean=False).instruction.lean
    assert (config.counter_width, replace(config, lean=False).counter_width) == (16, 32)


@pytest.mark.parametrize(("changes", "slots", "drain_cycles"), [
    ({}, 2, 4),
    ({"lane_interval": 4}, 2, 16),
    # Results move up a column one row every other cycle, however fast the lanes are …
    ({"lanes": 4}, 1, 4),
    # … and not at all in an array of one row.
    ({"rows": 1, "lanes": 4}, 1, 1),
    ({"rows": 1, "lanes": 1, "lane_interval": 2}, 4, 8),
])
def test_drain_cycles(changes, slots, drain_cycles):
    config = Configuration(**FIELDS | changes)
    assert (config.slots, config.drain_cycles) == (slots, drain_cycles)


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"rows": 0}, ValueError, "Configuration rows must be 1 to 64, not 0"),
    ({"rows": 2.0}, TypeError, "Configuration rows must be an integer, not 2.0"),
    ({"lean": True, "vector": True}, ValueError,
     "Configuration lean must be false beside a window or vector unit"),
    ({"lean": True, "window_width": 9}, ValueError,
     "Configuration lean must be false beside a window or vector unit"),
    ({"lean": True, "rows": 1, "channels": 1}, ValueError,
     "Configuration lean must be false for words of one channel"),
    ({"lean": True, "lanes": 2, "lane_interval": 8}, ValueError,
     "Configuration lean must be false unless there is one lane, and that one takes 8 cycles or "
     "more"),
    ({"lean": True, "lanes": 1, "lane_interval": 4}, ValueError,
     "Configuration lean must be false unless there is one lane, and that one takes 8 cycles or "
     "more"),
    ({"lean": True, "lanes": 1, "columns": 3, "lane_interval": 8}, ValueError,
     "Configuration lean must be false unless columns is a power of two, not 3"),
    *(({"lean": True, "lanes": 1, "lane_interval": 8} | other, ValueError,
       "Configuration lean must be false unless multiplier is portable or ice40 in all rows")
      for other in ({"multiplier": "lut"}, {"multiplier": "ecp5"}, {"lut_rows": 1})),
    ({"vector": 1}, TypeError, "Configuration vector must be true or false, not 1"),
    ({"window_width": 1025}, ValueError, "Configuration window_width must be 0 to 1024, not 1025"),
    ({"rows": True}, TypeError, "Configuration rows must be an integer, not True"),
    ({"name": 3}, TypeError, "Configuration name must be a string, not 3"),
    ({"columns": 65}, ValueError, "Configuration columns must be 1 to 64, not 65"),
    ({"lanes": 5}, ValueError, "Configuration lanes must be 1 to 4, not 5"),
    ({"lanes": 3}, ValueError, "Configuration lanes must divide columns (4), not 3"),
    ({"channels": 1}, ValueError, "Configuration channels must be 2 to 64, not 1"),
    ({"channels": 65}, ValueError, "Configuration channels must be 2 to 64, not 65"),
    ({"lut_rows": 3}, ValueError, "Configuration lut_rows must be 0 to 2, not 3"),
    ({"weight_words": 15}, ValueError, "Configuration weight_words must be 16 to 65536, not 15"),
    ({"program_words": 65537}, ValueError,
     "Configuration program_words must be 16 to 65536, not 65537"),
    ({"lane_interval": 3}, ValueError,
     "Configuration lane_interval must be a divisor of 32, not 3"),
    ({"lane_interval": 0}, ValueError,
     "Configuration lane_interval must be a divisor of 32, not 0"),
    ({"lane_blocks": 1}, ValueError, "Configuration lane_blocks must be 2 to 3, not 1"),
    ({"multiplier": "dsp"}, ValueError,
     "Configuration multiplier must be one of portable, lut, ecp5, ice40, not 'dsp'"),
    ({"accumulator_width": 17}, ValueError,
     "Configuration accumulator_width must be 18 to 32, not 17"),
])
def test_bad_parameters(changes, error, message):
    with pytest.raises(error) as raised:
        Configuration(**FIELDS | changes)
    assert str(raised.value) == message


TEXT = 'device = "lfe5u-25f"\nrows = 2\ncolumns = 4\nlanes = 2\nchannels = 3\n'


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_file_is_named_by_itself(tmp_path):
    assert load(written(tmp_path / "mine.toml", TEXT)) == Configuration(**FIELDS)


def test_file_gives_every_parameter(tmp_path):
    config = Configuration(**FIELDS, multiplier="lut", lane_interval=8, accumulator_width=20,
                           vector=True, window_width=30)
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in config.as_dict().items())
    assert load(written(tmp_path / "any.toml", text)) == config


def test_file_can_name_itself(tmp_path):
    assert load(written(tmp_path / "mine.toml", TEXT + 'name = "other"\n')).name == "other"


@pytest.mark.parametrize(("text", "error", "message"), [
    ("rows = ", ValueError, "not a TOML file: "),
    (TEXT + "speed = 6\n", ValueError, "unknown key 'speed'; keys: name, device, rows, columns, "
                                       "lanes, channels, multiplier, lut_rows, lane_interval, "),
    (TEXT.replace("rows = 2", "rows = 4"), ValueError,
     "Configuration channels must be 4 to 64, not 3"),
    (TEXT.replace("rows = 2", 'rows = "2"'), TypeError,
     "Configuration rows must be an integer, not '2'"),
])
def test_bad_file(tmp_path, text, error, message):
    path = written(tmp_path / "mine.toml", text)
    with pytest.raises(error) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_file_lacks_a_key(tmp_path):
    path = written(tmp_path / "mine.toml", TEXT.replace("lanes = 2\n", ""))
    with pytest.raises(ValueError, match=re.escape(
            f"{path}: missing key 'lanes'; every configuration has name, ")):
        load(path)


def test_unknown_name():
    with pytest.raises(ValueError, match=r"^No configuration or file named 'nix'; "
                                         r"configurations: tiny, icebreaker, ecp5-25f, "):
        load("nix")
    with pytest.raises(ValueError, match=r"^No configuration or file named 'n{300}'; "):
        load("n" * 300)
