"""The instruction set: one definition for decoder, assembler, interpreter and documentation."""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from amaranth import *
from amaranth.lib import data

__all__ = ["ADDRESS_WIDTH", "FIELDS", "INSTRUCTION_WORDS", "TAP_SPAN", "Destination", "Field",
           "Instruction", "Meaning", "Opcode", "Status", "assemble", "disassemble",
           "lean_widths"]


#: Bits of an address in any of the engine's memories.
ADDRESS_WIDTH = 16
#: 32-bit words of an instruction.
INSTRUCTION_WORDS = 16
#: Input rows, or columns, that a dilated kernel may span.
TAP_SPAN = 1 << 12


class Meaning(IntEnum):
    """Numbers that each have a ``meaning``, for the documentation."""

    meaning: str

    def __new__(cls, value, meaning):
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class Opcode(Meaning):
    """What an instruction does."""

    END = 0, ("Ends the work on a frame: goes to address `base` if more frames are wanted, else "
              "stops, when everything is done.")
    CONV = 1, "Convolution and scale-shift, from activation memory to activation memory."
    RECEIVE = 2, ("Lets a frame of `pixels` words into activation memory from `base` on, beside "
                  "the instructions that follow.")
    SEND = 3, ("Gives `pixels` words of activation memory, one for each output pixel, to the "
               "output stream.")
    DEPTHWISE = 4, ("Convolution of each channel by itself with a kernel of 3x3, and scale-shift. "
                    "Reads the padded input word after word, as if for a kernel of 1x1.")
    VECTOR = 5, ("Sum or greatest of the codes under the taps, or of what tables make of them, and "
                 "scale-shift: pooling, residual addition, requantisation.")


@dataclass(frozen=True)
class Field:
    """A field of the instruction.

    Parameters
    ----------
    name : str
    width : int
        Bits.
    signed : bool
    meaning : str
        For the documentation; quantities are in words of their memory unless it says otherwise.
    """

    name: str
    width: int
    meaning: str
    signed: bool = False


FIELDS = (
    Field("opcode", 4, "What to do."),
    Field("wait", 1, "Begin to read activations only when all earlier results are written; to "
                     "receive, only when besides all earlier instructions have read theirs."),
    Field("wait_input", 1, "Begin to read activations only when the frame has arrived."),
    Field("next", 1, "RECEIVE: the next frame; does nothing in the work on the last one."),
    Field("unsigned", 1, "Activation codes are uint8, not int8."),
    Field("pad_code", 8, "Code that padding stands for."),
    # Where activations are.
    Field("base", ADDRESS_WIDTH, "Address of the first tap of the first output pixel, modulo 2^16 "
                                 "if that lies in the padding."),
    Field("x_step", ADDRESS_WIDTH, "From one output pixel to the next."),
    Field("y_step", ADDRESS_WIDTH, "From one output row to the next."),
    Field("frame_step", ADDRESS_WIDTH, "From one frame of a batch to the next."),
    Field("block_step", ADDRESS_WIDTH, "From one block of output channels to the next: zero but "
                                       "for grouped convolution."),
    Field("tap_x_step", ADDRESS_WIDTH, "From one kernel column to the next."),
    Field("tap_y_step", ADDRESS_WIDTH, "From one kernel row to the next."),
    # Which taps lie in the input.
    Field("in_height", 12, "Input rows."),
    Field("in_width", 12, "Input columns."),
    Field("pad_top", 8, "Rows of padding above."),
    Field("pad_left", 8, "Columns of padding at the left."),
    Field("stride_y", 8, "Input rows from one output row to the next."),
    Field("stride_x", 8, "Input columns from one output column to the next."),
    Field("dilation_y", 8, "Input rows from one kernel row to the next."),
    Field("dilation_x", 8, "Input columns from one kernel column to the next."),
    # How often.
    Field("out_height", 12, "Output rows, less one."),
    Field("out_width", 12, "Output columns, less one."),
    Field("frames", 8, "Frames of a batch, less one."),
    Field("pixels", 20, "Output pixels of all frames, less one."),
    Field("kernel_height", 8, "Kernel rows, less one."),
    Field("kernel_width", 8, "Kernel columns, less one."),
    Field("tap_words", 12, "Activation words of a tap, less one."),
    Field("last_step", 16, "Activation words of an output pixel, less one."),
    Field("tiles", 16, "Tiles of `rows` output pixels, less one."),
    Field("blocks", 12, "Blocks of `columns` output channels, less one."),
    # Weights and coefficients.
    Field("weight_base", ADDRESS_WIDTH, "First weight word."),
    Field("coefficient_base", ADDRESS_WIDTH, "Coefficients of the first output channel."),
    Field("zero", 9, "Zero point of the output.", signed=True),
    Field("low", 9, "Lower bound of the output codes.", signed=True),
    Field("high", 9, "Upper bound of the output codes.", signed=True),
    # What the window and the vector unit do.
    Field("window_stride_y", 4, "DEPTHWISE: input rows from one output row to the next."),
    Field("window_stride_x", 4, "DEPTHWISE: input columns from one output column to the next."),
    Field("out_pixels", 20, "DEPTHWISE: output pixels of all frames, less one."),
    Field("maximum", 1, "VECTOR: the greatest, not the sum."),
    Field("table", 1, "VECTOR: of table entries, not of codes. 256 records come before those of "
                      "the channels: entries for even taps (`bias`) and odd taps (`multiplier`)."),
    # Where results go.
    Field("out_base", ADDRESS_WIDTH, "Address of the first output pixel."),
    Field("out_step", ADDRESS_WIDTH, "From one output pixel to the next."),
    Field("out_groups", 12, "Groups of `lanes` output channels, less one."),
)


class Instruction(data.StructLayout):
    """An instruction as the program memory holds it, lowest bits in the first word.

    Parameters
    ----------
    widths : dict of str to int
        Bits of unsigned fields of which an engine keeps fewer, perhaps none, and then there is no
        such member. It refuses what does not fit them.
    """

    def __init__(self, widths=MappingProxyType({})):
        self.widths = dict(widths)
        super().__init__({field.name: signed(field.width) if field.signed
                          else widths.get(field.name, field.width)
                          for field in FIELDS if widths.get(field.name) != 0})
        assert self.size <= 32 * INSTRUCTION_WORDS

    @property
    def lean(self):
        """Whether the engine saves logic cells wherever it can."""
        return bool(self.widths)

    @property
    def address_width(self):
        """Bits of an address of activation memory."""
        return Shape.cast(self["base"].shape).width

    @property
    def coordinate_width(self):
        """Bits of an input coordinate, which may lie in the padding on either side."""
        return Shape.cast(self["in_height"].shape).width + 2

    @property
    def tap_span(self):
        """Input rows, or columns, that a dilated kernel may span."""
        return min(TAP_SPAN, 1 << Shape.cast(self["in_height"].shape).width)


def lean_widths(*, activation_words, weight_words, coefficient_words, rows=1, columns=1):
    """Return the bits of the fields that a lean engine keeps, given the words of its memories and
    the size of its array.

    It knows neither batches nor depthwise layers. An address of activations has a bit more than
    the memory needs, as base addresses may lie in the padding before it. A pixel has a word at
    least, and an output channel its coefficients.
    """
    def bits(count, most):
        """Return the bits of a count of which one is taken."""
        return min(most, max(1, (count - 1).bit_length()))

    address = min(ADDRESS_WIDTH, (activation_words - 1).bit_length() + 1)
    return {
        "base": address, "out_base": address, "block_step": min(12, address),
        "x_step": 9, "tap_x_step": 9, "out_step": 9,
        "y_step": min(13, address), "tap_y_step": min(13, address), "frame_step": 0,
        "in_height": 9, "in_width": 9, "pad_top": 4, "pad_left": 4, "stride_y": 4, "stride_x": 4,
        "dilation_y": 4, "dilation_x": 4, "out_height": 10, "out_width": 10, "frames": 0,
        "pixels": bits(activation_words, 16), "kernel_height": 4, "kernel_width": 4,
        "tap_words": 8, "last_step": 12,
        "tiles": bits(-(-activation_words // rows), 14),
        "blocks": bits(-(-coefficient_words // columns), 8),
        "out_groups": bits(coefficient_words, 10), "out_pixels": 0,
        "weight_base": min(ADDRESS_WIDTH, weight_words.bit_length()),
        "coefficient_base": min(ADDRESS_WIDTH, coefficient_words.bit_length()),
    }


class Status(Meaning):
    """Why the engine stopped."""

    NONE = 0, "It runs, or has not been started."
    DONE = 1, "All frames are done."
    ILLEGAL_INSTRUCTION = 2, ("An instruction has an unknown opcode, or its fields contradict "
                              "each other.")
    ILLEGAL_ADDRESS = 3, ("An address is beyond its memory. What that memory holds is unknown if "
                          "the address was written.")
    ILLEGAL_PACKET = 4, "A packet has an unknown destination, or begins before it may."
    SHORT_PACKET = 5, "A packet ended before its last word, or announced too few."
    LONG_PACKET = 6, "A packet went on after its last word, or announced too many."


class Destination(Meaning):
    """Where a packet of the input stream goes.

    A packet is a word with the destination in bits 0 to 3 and an address in bits 16 to 31, a word
    with the number of memory words that follow, and those words, each in as many 32-bit words as
    it needs, lowest bits first.
    """

    PROGRAM = 0, "Program memory, in words of 32 bits."
    WEIGHTS = 1, "Weight memory, in words of `columns` weights."
    COEFFICIENTS = 2, "Coefficient memory, in records of an output channel."
    ACTIVATIONS = 3, "Activation memory, in words of `channels` codes."
    FRAME = 4, ("Activation memory as well, but address and number come from the RECEIVE that it "
                "meets.")
    START = 5, "Runs the program at the address for that number of frames; no words follow."


def assemble(**values):
    """Return the 32-bit words of an instruction whose other fields are zero.

    Raises
    ------
    ValueError
        If a field does not exist, or a value does not fit it.
    """
    known = {field.name: field for field in FIELDS}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"An instruction has no field {name!r}")
        field = known[name]
        low = -(1 << (field.width - 1)) if field.signed else 0
        if not low <= value < low + (1 << field.width):
            raise ValueError(f"Instruction field {name} must be {low} to "
                             f"{low + (1 << field.width) - 1}, not {value}")
    bits = Instruction().const(values).as_bits()
    return [(bits >> (32 * word)) & 0xFFFF_FFFF for word in range(INSTRUCTION_WORDS)]


def disassemble(words):
    """Return the fields of an instruction by name; the reverse of :func:`assemble`."""
    bits = sum(word << (32 * index) for index, word in enumerate(words))
    const = data.Const(Instruction(), bits & ((1 << Instruction().size) - 1))
    return {field.name: int(const[field.name]) for field in FIELDS}
