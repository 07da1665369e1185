"""Payloads of the pipeline's streams, and the tags that travel through the array."""

from enum import IntEnum

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import Out

__all__ = ["MULTIPLIER_WIDTH", "OPERAND_WIDTH", "STEP_WIDTH", "Coefficients", "Rounding",
           "SumGroups", "SumTag", "Tags", "Tile", "array_zero_point", "channel_records",
           "pack_records"]


#: Bits of an activation code, a weight and a result.
OPERAND_WIDTH = 8
#: Bits of a tile's step number; a reduction has at most ``2**STEP_WIDTH`` words.
STEP_WIDTH = 16
#: Bits of a bias and of a scale-shift multiplier.
MULTIPLIER_WIDTH = 32


class Rounding(IntEnum):
    """Rounding of the scale-shift, as in :func:`golden.requant.requantise`.

    ``TFLITE`` rounds twice, at bit 31 and at bit ``shift``; below a shift of 31 the golden mode
    of that name rounds once, which is ``HALF_UP``: see :meth:`encode`.
    """

    HALF_UP = 0
    HALF_EVEN = 1
    TFLITE = 2

    @classmethod
    def encode(cls, name, shift):
        """Return the code of golden mode ``name`` for a channel of that ``shift``."""
        if name == "tflite" and shift < 31:
            return cls.HALF_UP
        return cls[name.upper()]


class Tile(data.StructLayout):
    """One tile: the reduction that gives ``rows × columns`` results.

    Members
    -------
    last_step : unsigned
        Number of activation words per row, less one.
    renew : 1 bit
        Whether the results take the next set of coefficients, rather than that of the tile before.
    unsigned : 1 bit
        Whether activation codes are uint8, of which the array sees ``code - 128``.
    """

    def __init__(self):
        super().__init__({"last_step": STEP_WIDTH, "renew": 1, "unsigned": 1})


class Coefficients(data.StructLayout):
    """All that a scale-shift lane knows about an output channel.

    Members
    -------
    bias, multiplier : signed, :data:`MULTIPLIER_WIDTH` bits
        Addend, and factor; a factor of ``-2**31`` is not allowed.
    shift : unsigned, at most 62
        Bits of the product that are a fraction.
    rounding : :class:`Rounding`
        What becomes of the fraction.
    zero, low, high : signed, 9 bits, -128 to 255
        Zero point of the output, and the bounds of its codes.
    last : 1 bit
        The channel ends a set.
    """

    def __init__(self):
        super().__init__({
            "bias": signed(MULTIPLIER_WIDTH),
            "multiplier": signed(MULTIPLIER_WIDTH),
            "shift": 6,
            "rounding": 2,
            "zero": signed(9),
            "low": signed(9),
            "high": signed(9),
            "last": 1,
        })


class SumTag(data.StructLayout):
    """What is to be known of a group of sums: ``lanes`` channels of a pixel that enter the
    scale-shift lanes together, other than from the array.

    Members
    -------
    slot : unsigned
        Which channels of the word they are: channel ``slot * lanes + lane``.
    renew : 1 bit
        The first group of a block, which takes the next set of coefficients.
    """

    def __init__(self, *, slots):
        super().__init__({"slot": range(max(2, slots)), "renew": 1})


class SumGroups(wiring.Signature):
    """Groups of sums, lane ``l`` being ``l`` cycles late.

    Members
    -------
    tag : ``Out(stream.Signature(SumTag(...)))``
    values : ``Out(ArrayLayout(signed(32), lanes))``
        ``values[l]`` in cycle ``t`` is that of the tag which is offered in cycle ``t - l``.
    """

    def __init__(self, *, lanes, slots):
        super().__init__({
            "tag": Out(stream.Signature(SumTag(slots=slots))),
            "values": Out(data.ArrayLayout(signed(MULTIPLIER_WIDTH), lanes)),
        })


class Tags(data.StructLayout):
    """What a processing element is told beside its operands.

    Members
    -------
    first : 1 bit
        The product begins a sum.
    capture : 1 bit
        The sum so far is a result.
    shift : 1 bit
        Results move up by a row.
    """

    def __init__(self):
        super().__init__({"first": 1, "capture": 1, "shift": 1})


def array_zero_point(zero_point, *, unsigned):
    """Return a zero point as the array sees it: of uint8 codes it sees ``code - 128``."""
    return zero_point - 128 if unsigned else zero_point


def channel_records(bias, multiplier, shift, *, rounding, channels):
    """Return the fields of a scale-shift that differ between output channels, for each of them.

    Parameters
    ----------
    bias, multiplier, shift : sequences of int
        The bias with the zero point of the input (:func:`array_zero_point`) folded into it.
    rounding : str
        Golden mode.
    channels : int
        Records wanted; those in excess of the operands are zero, as suits channels that are
        there to fill a block up.
    """
    records = [{"bias": b, "multiplier": m, "shift": s, "rounding": Rounding.encode(rounding, s)}
               for b, m, s in zip(bias, multiplier, shift, strict=True)]
    return records + [{}] * (channels - len(records))


def pack_records(layout, records):
    """Return records, fields by name, as bytes: each lowest bits first in whole bytes."""
    size = -(-layout.size // 8)
    return b"".join(layout.const(record).as_bits().to_bytes(size, "little") for record in records)
