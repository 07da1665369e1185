"""Configurations of the engine: what a generated design holds, and the device it is meant for."""

import os
import tomllib
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from pathlib import Path

from .isa import Destination, Instruction, lean_widths

__all__ = ["CONFIGURATIONS", "LARGE", "MULTIPLIERS", "Configuration", "load"]


#: On iCE40, memories of more words than these are in SPRAM, which has one port.
LARGE = 2048

#: How a processing element multiplies: ``portable`` leaves the choice to synthesis (DSP blocks
#: where the device has them), ``lut`` keeps the product in the fabric, and ``ecp5`` and ``ice40``
#: take that family's DSP blocks with the registers inside, for lanes as well.
MULTIPLIERS = ("portable", "lut", "ecp5", "ice40")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Parameters of one engine; every generated file follows from these alone.

    Parameters
    ----------
    name : str
        What the command line calls it.
    device : str
        Device it is meant for, a key of :data:`scripts.devices.DEVICES`.
    rows : int, 1 to 64
        Output pixels that the array computes at a time.
    columns : int, 1 to 64
        Output channels that the array computes at a time.
    lanes : int, a divisor of ``columns``
        Scale-shift lanes, each of which requantises one result every ``lane_interval`` cycles.
    channels : int, ``rows`` to 64
        Channels in an activation word; a row takes that many cycles to shift one word out.
    multiplier : str
        One of :data:`MULTIPLIERS`.
    lut_rows : int, 0 to ``rows``
        So many rows, the last ones, multiply in the fabric whatever ``multiplier`` says.
    window_width : int, 0 to 1024
        Longest line, padding included, of a depthwise layer on the window unit; 0: there is no
        such unit, and depthwise layers run on the array.
    vector : bool
        Whether there is a vector unit, for pooling, residual addition and requantisation.
    lane_interval : int, a divisor of 32
        Cycles that a lane spends on one result. 1: DSP blocks. More: a digit-serial product of
        ``32 // lane_interval`` bits a cycle, without DSP blocks.
    lane_blocks : int, 2 or 3
        DSP blocks of a lane that has any: with 2, the third of its products is in the fabric.
    accumulator_width : int, 18 to 32
        Bits of an accumulator. A sum outside them wraps, so layers are checked against it.
    lean : bool
        Whether the engine does with few logic cells: instructions have short fields
        (:func:`hdl.isa.lean_widths`), one is fetched when the activations of the one before
        have been asked for, and counters have 16 bits, that of cycles 32. The array is a
        :class:`hdl.leanarray.LeanArray`. Without window and vector unit, for words of two channels
        or more, columns by a power of two, one lane whose interval is at least 8, and multipliers
        ``portable`` or ``ice40``.

    activation_words, weight_words : int, 16 to 65536
        Words of ``channels`` codes, and of ``columns`` weights, that the engine holds.
    coefficient_words : int, 16 to 65536
        Output channels, of all layers together, for which it holds coefficients.
    program_words : int, 16 to 65536
        32-bit words of its program.

    Raises
    ------
    TypeError
        If a parameter is of the wrong kind.
    ValueError
        If a parameter is out of range.
    """

    name: str
    device: str
    rows: int
    columns: int
    lanes: int
    channels: int
    multiplier: str = "portable"
    lut_rows: int = 0
    lane_interval: int = 1
    lane_blocks: int = 2
    accumulator_width: int = 32
    window_width: int = 0
    vector: bool = False
    lean: bool = False
    activation_words: int = 4096
    weight_words: int = 4096
    coefficient_words: int = 512
    program_words: int = 1024

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not field.type:
                kind = {int: "an integer", str: "a string", bool: "true or false"}[field.type]
                raise TypeError(f"Configuration {field.name} must be {kind}, not {value!r}")
        self._require("rows", 1, 64)
        self._require("columns", 1, 64)
        self._require("lanes", 1, self.columns)
        self._require("channels", self.rows, 64)
        self._require("lut_rows", 0, self.rows)
        self._require("accumulator_width", 18, 32)
        self._require("lane_blocks", 2, 3)
        self._require("window_width", 0, 1024)
        for memory in ("activation_words", "weight_words", "coefficient_words", "program_words"):
            self._require(memory, 16, 65536)
        if self.columns % self.lanes:
            raise ValueError(f"Configuration lanes must divide columns ({self.columns}), "
                             f"not {self.lanes}")
        if self.lane_interval < 1 or 32 % self.lane_interval:
            raise ValueError("Configuration lane_interval must be a divisor of 32, "
                             f"not {self.lane_interval}")
        if self.lean and (self.vector or self.window_width):
            raise ValueError("Configuration lean must be false beside a window or vector unit")
        if self.lean and self.channels == 1:
            raise ValueError("Configuration lean must be false for words of one channel")
        if self.lean and (self.lanes > 1 or self.lane_interval < 8):
            raise ValueError("Configuration lean must be false unless there is one lane, and that "
                             "one takes 8 cycles or more")
        if self.lean and self.columns & (self.columns - 1):
            raise ValueError("Configuration lean must be false unless columns is a power of two, "
                             f"not {self.columns}")
        if self.lean and (self.lut_rows or self.multiplier in ("lut", "ecp5")):
            raise ValueError("Configuration lean must be false unless multiplier is portable or "
                             "ice40 in all rows")
        if self.multiplier not in MULTIPLIERS:
            raise ValueError(f"Configuration multiplier must be one of {', '.join(MULTIPLIERS)}, "
                             f"not {self.multiplier!r}")

    def _require(self, name, low, high):
        value = getattr(self, name)
        if not low <= value <= high:
            raise ValueError(f"Configuration {name} must be {low} to {high}, not {value}")

    @property
    def family(self):
        """Whose cells the design may hold, one of :data:`hdl.vendor.FAMILIES`."""
        return "portable" if self.multiplier in ("portable", "lut") else self.multiplier

    @property
    def instruction(self):
        """The :class:`hdl.isa.Instruction` that its units see."""
        return _instruction(*((self.activation_words, self.weight_words, self.coefficient_words,
                               self.rows, self.columns) if self.lean else ()))

    @property
    def counter_width(self):
        """Bits of what counts frames and layers; cycles have twice as many."""
        return 16 if self.lean else 32

    @property
    def by_beats(self):
        """Memories that take a word in parts of 32 bits, so that nothing has to gather it."""
        in_parts = self.lean and self.family == "ice40" and self.coefficient_words <= LARGE
        return frozenset({Destination.COEFFICIENTS} if in_parts else ())

    @property
    def slots(self):
        """Slots a row: groups of ``lanes`` results that leave the array together."""
        return self.columns // self.lanes

    @property
    def parts(self):
        """Groups of ``lanes`` channels in an activation word."""
        return -(-self.channels // self.lanes)

    @property
    def groups(self):
        """The most groups of ``lanes`` channels that leave a unit together."""
        return max(self.slots, self.parts)

    @property
    def sum_units(self):
        """Units beside the array whose sums the lanes take."""
        return int(self.vector) + int(self.window_width != 0)

    @property
    def sum_width(self):
        """Bits of what a lane takes: an accumulator, or the sum of another unit."""
        return 32 if self.sum_units else self.accumulator_width

    @property
    def drain_cycles(self):
        """Cycles between two tiles that the lanes can sustain.

        A row leaves in one lane interval for each of its slots, and not in fewer than two
        cycles, because results move up a column one row every other cycle.
        """
        row_cycles = self.slots * self.lane_interval
        return row_cycles if self.rows == 1 else self.rows * max(2, row_cycles)

    def as_dict(self):
        """Return the parameters by name, as in a configuration file."""
        return asdict(self)


#: Memories of an engine that has the 208 block RAMs, of 2 KB, of an LFE5U-85F for itself.
_LARGE = {"activation_words": 12288, "weight_words": 16896, "coefficient_words": 3072,
          "program_words": 1024, "vector": True, "window_width": 256}
#: The same for the 56 block RAMs of an LFE5U-25F.
_MEDIUM = {"activation_words": 4096, "weight_words": 10240, "coefficient_words": 1024,
           "program_words": 1024, "vector": True, "window_width": 128}
#: What is left of the 30 block RAMs, of 512 bytes, of an iCE40UP5K.
_SMALL = {"activation_words": 512, "weight_words": 512, "coefficient_words": 64,
          "program_words": 256}

CONFIGURATIONS = {config.name: config for config in (
    Configuration(name="tiny", device="ice40up5k", rows=2, columns=2, lanes=1, channels=2,
                  multiplier="lut", lane_interval=8, **_SMALL),
    # All elements in the 8 DSP blocks. Sums of up to 512 products fit 24 bits. Lanes keep up with
    # reductions of 256 products and more; at an interval of 8 they would take 130 cells more.
    Configuration(name="icebreaker", device="ice40up5k", rows=4, columns=4, lanes=1, channels=4,
                  multiplier="ice40", lane_interval=16, accumulator_width=24, lean=True,
                  activation_words=16384, weight_words=16384, coefficient_words=256,
                  program_words=512),
    # 16 elements and the lanes share 28 DSP blocks.
    Configuration(name="ecp5-25f", device="lfe5u-25f", rows=8, columns=4, lanes=2, channels=8,
                  multiplier="ecp5", lut_rows=4, **_MEDIUM),
    Configuration(name="ecp5-85f", device="lfe5u-85f", rows=8, columns=16, lanes=8, channels=8,
                  multiplier="ecp5", **_LARGE),
    Configuration(name="ecp5-85f-8x8", device="lfe5u-85f", rows=8, columns=8, lanes=8, channels=8,
                  multiplier="ecp5", **_LARGE | {"weight_words": 33280}),
    # 128 elements and the lanes have DSP blocks, of which there are 156. Sums of up to
    # 2047 products fit 26 bits whatever they are; of more, those that the compiler has checked.
    Configuration(name="ecp5-85f-16x16", device="lfe5u-85f", rows=16, columns=16, lanes=8,
                  channels=16, multiplier="ecp5", lut_rows=8, lane_blocks=3, accumulator_width=26,
                  **_LARGE | {"activation_words": 5120}),
)}


@cache
def _instruction(*sizes):
    """The layout for memories and an array of such sizes of a lean engine, or for any other one."""
    if not sizes:
        return Instruction()
    activation, weight, coefficient, rows, columns = sizes
    return Instruction(lean_widths(activation_words=activation, weight_words=weight,
                                   coefficient_words=coefficient, rows=rows, columns=columns))


def load(name):
    """Return the named configuration, or the one in the TOML file ``name``.

    A file gives the fields of :class:`Configuration` as keys; ``name`` defaults to the file's
    own name without ``.toml``.

    Raises
    ------
    ValueError
        If there is no such configuration or file, or a key is unknown or missing.
    TypeError
        If a value is of the wrong kind.
    """
    if name in CONFIGURATIONS:
        return CONFIGURATIONS[name]
    path = Path(name)
    if not os.path.isfile(path):  # Path's own raises where a name is too long.
        raise ValueError(f"No configuration or file named {name!r}; "
                         f"configurations: {', '.join(CONFIGURATIONS)}")
    try:
        values = {"name": path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from None
    known = {field.name: field for field in fields(Configuration)}
    if unknown := values.keys() - known.keys():
        raise ValueError(f"{path}: unknown key {min(unknown)!r}; keys: {', '.join(known)}")
    required = [name for name, field in known.items() if field.default is MISSING]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f"{path}: missing key {missing[0]!r}; every configuration has "
                         f"{', '.join(required)}")
    try:
        return Configuration(**values)
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
