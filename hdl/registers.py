"""The register map: one definition for RTL, C header, Python access and documentation."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["IDENTITY", "OFFSET_WIDTH", "REGISTERS", "VERSION", "Access", "Register",
           "RegisterField", "check_registers"]


#: Bits of a byte offset: the registers have a page of 4 KiB.
OFFSET_WIDTH = 12
#: What the register ID holds: ``CELO`` in ASCII.
IDENTITY = 0x4345_4C4F
#: Version of this interface: major, minor, patch. The major number changes when a driver has to.
VERSION = (0, 1, 0)


class Access(Enum):
    """What the bus may do with a field."""

    #: It is read; writing does nothing.
    READ = "read"
    #: It is read as it was last written.
    READ_WRITE = "read, write"
    #: Writing one does something, once; it reads as zero.
    PULSE = "write 1 to do"
    #: The engine sets it; writing one clears it.
    CLEAR = "read, write 1 to clear"


@dataclass(frozen=True)
class RegisterField:
    """Some bits of a register.

    Parameters
    ----------
    name : str
    low, width : int
        Lowest bit, and number of bits.
    access : Access
    meaning : str
    reset : int
        Value after a reset of the whole design, of a field that the bus can set.
    """

    name: str
    low: int
    width: int
    access: Access
    meaning: str
    reset: int = 0


@dataclass(frozen=True)
class Register:
    """A word of 32 bits.

    Parameters
    ----------
    name : str
    offset : int, a multiple of 4
        Bytes from the first register.
    meaning : str
    fields : tuple of RegisterField
        From the lowest bit up. Bits of no field read as zero; writing them does nothing.
    """

    name: str
    offset: int
    meaning: str
    fields: tuple[RegisterField, ...]

    @property
    def writable(self):
        """Whether writing it can have an effect."""
        return any(field.access is not Access.READ for field in self.fields)


def _read(name, low, width, meaning):
    return RegisterField(name, low, width, Access.READ, meaning)


def _write(name, low, width, meaning, *, reset=0):
    return RegisterField(name, low, width, Access.READ_WRITE, meaning, reset)


def _pulse(name, low, meaning):
    return RegisterField(name, low, 1, Access.PULSE, meaning)


def _clear(name, low, meaning):
    return RegisterField(name, low, 1, Access.CLEAR, meaning)


def _words(name, offset, content):
    return Register(name, offset, "Size of a memory.",
                    (_read("words", 0, 17, f"Words of {content} memory."),))


_STOPPED = "The engine has stopped: a program ended, or a fault stopped it."
_FRAME = "The last beat of an output packet, a frame's results, has been taken."

REGISTERS = (
    Register("ID", 0x00, "Tells that this is a Celosia engine.", (
        _read("id", 0, 32, f"0x{IDENTITY:08X}, `CELO` in ASCII."),
    )),
    Register("VERSION", 0x04, "Version of this interface.", (
        _read("patch", 0, 8, "Patch."),
        _read("minor", 8, 8, "Minor: registers or fields were added."),
        _read("major", 16, 8, "Major: drivers have to change."),
    )),
    Register("ARRAY", 0x08, "Shape of the engine.", (
        _read("rows", 0, 8, "Rows of the array: output pixels at a time."),
        _read("columns", 8, 8, "Columns of the array: output channels at a time."),
        _read("lanes", 16, 8, "Scale-shift lanes."),
        _read("channels", 24, 8, "Channels in a word of activation memory."),
    )),
    _words("ACTIVATION_MEMORY", 0x0C, "activation"),
    _words("WEIGHT_MEMORY", 0x10, "weight"),
    _words("COEFFICIENT_MEMORY", 0x14, "coefficient"),
    _words("PROGRAM_MEMORY", 0x18, "program"),
    Register("CONTROL", 0x20, "Starts and stops the engine.", (
        _pulse("start", 0, "Run the program at START_ADDRESS for START_FRAMES frames."),
        _pulse("reset", 1, "Soft reset: stop, and forget all but the contents of the memories."),
        _write("discard", 2, 1, "Accept packets of the input stream and drop them."),
    )),
    Register("START_ADDRESS", 0x24, "Where CONTROL.start begins.", (
        _write("address", 0, 16, "Word of program memory."),
    )),
    Register("START_FRAMES", 0x28, "How much CONTROL.start does.", (
        _write("frames", 0, 32, "Frames, at least 1.", reset=1),
    )),
    Register("STATUS", 0x2C, "What the engine does.", (
        _read("busy", 0, 1, "A program runs."),
        _read("loading", 1, 1, "A packet that fills a memory is under way."),
        _read("refused", 2, 1, "The last CONTROL.start was refused. The next start of any kind "
                               "and a soft reset clear it."),
        _read("closing", 3, 1, "After a soft reset: streams are still coming to the ends of their "
                               "packets."),
        _read("code", 4, 4, "Why the engine stopped; the table is below."),
    )),
    Register("CYCLES_LOW", 0x30, "Cycles for which the present or last program has run. Reading "
             "this half latches the other.", (
                 _read("cycles", 0, 32, "Bits 0 to 31."),
             )),
    Register("CYCLES_HIGH", 0x34, "The other half, of when CYCLES_LOW was read last.", (
        _read("cycles", 0, 32, "Bits 32 to 63."),
    )),
    Register("LAYERS", 0x38, "Progress of the present or last program.", (
        _read("done", 0, 32, "Instructions that compute whose results are all written."),
    )),
    Register("FRAMES", 0x3C, "Progress of the present or last program.", (
        _read("finished", 0, 32, "Packets of the output stream whose last beat has been taken."),
    )),
    Register("INTERRUPT_ENABLE", 0x40, "Which events raise `irq`.", (
        _write("stopped", 0, 1, _STOPPED),
        _write("frame", 1, 1, _FRAME),
    )),
    Register("INTERRUPT_PENDING", 0x44, "Which events have happened; `irq` is high while an "
             "enabled one is pending.", (
                 _clear("stopped", 0, _STOPPED),
                 _clear("frame", 1, _FRAME),
             )),
)


def check_registers(registers):
    """Raise unless offsets and names are unique and aligned and fields lie apart, in order.

    Raises
    ------
    ValueError
        If they do not.
    """
    offsets, names = set(), set()
    for register in registers:
        if register.offset % 4 or not 0 <= register.offset < 1 << OFFSET_WIDTH:
            raise ValueError(f"Register {register.name} must lie at a multiple of 4 below "
                             f"{1 << OFFSET_WIDTH}, not at {register.offset}")
        if register.offset in offsets or register.name in names:
            raise ValueError(f"Register {register.name} must have a name and offset of its own")
        offsets.add(register.offset)
        names.add(register.name)
        end = 0
        for field in register.fields:
            if field.low < end or field.low + field.width > 32:
                raise ValueError(f"Register {register.name} field {field.name} must lie within "
                                 f"bits {end} to 31, not at {field.low}")
            end = field.low + field.width
