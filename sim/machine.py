"""The memories of an engine, and how instructions read and write them."""

import numpy as np

from hdl.isa import Destination, Status
from hdl.operands import StoredCoefficients

__all__ = ["Machine", "StopError", "read_addresses"]


class StopError(Exception):
    """The engine stops with a status."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


class Machine:
    """An engine's memories, filled as packets do it, and the accesses of instructions, which stop
    the engine with a :class:`StopError` when they go beyond.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`

    Members
    -------
    program : list of int
        Program memory.
    weights : uint8 array, shape (weight_words, columns)
    coefficients : list of dict
        Fields of :class:`hdl.operands.StoredCoefficients`.
    activations : uint8 array, shape (activation_words, channels)
    """

    def __init__(self, config):
        self.config = config
        self.program = [0] * config.program_words
        self.weights = np.zeros((config.weight_words, config.columns), np.uint8)
        self.coefficients = [dict.fromkeys(StoredCoefficients().members, 0)
                             for _ in range(config.coefficient_words)]
        self.activations = np.zeros((config.activation_words, config.channels), np.uint8)

    def load(self, destination, address, values):
        """Fill a part of a memory, as a packet does.

        Parameters
        ----------
        destination : :class:`hdl.isa.Destination`
            PROGRAM, WEIGHTS, COEFFICIENTS or ACTIVATIONS.
        address : int
        values : sequence
            Elements of the memory; fields that a coefficient record leaves out are zero.

        Raises
        ------
        ValueError
            If they do not fit.
        """
        memory = {Destination.PROGRAM: self.program, Destination.WEIGHTS: self.weights,
                  Destination.COEFFICIENTS: self.coefficients,
                  Destination.ACTIVATIONS: self.activations}[destination]
        if address + len(values) > len(memory):
            raise ValueError(f"{len(values)} words at {address} are more than the {len(memory)} "
                             f"of {destination.name.lower()}")
        if destination == Destination.COEFFICIENTS:
            empty = dict.fromkeys(StoredCoefficients().members, 0)
            values = [empty | record for record in values]
        memory[address:address + len(values)] = values

    def load_program(self, program):
        """Fill the memories with a :class:`compiler.program.Program`, or what is like it."""
        self.load(Destination.PROGRAM, 0, program.words())
        self.load(Destination.WEIGHTS, 0, program.weights)
        self.load(Destination.COEFFICIENTS, 0, program.coefficients)

    def codes(self, fields, block):
        """Codes under the kernel, uint8 (pixels, taps, channels)."""
        frames, height, width, kernel_height, kernel_width, words = _extents(fields)
        pixels, taps = frames * height * width, kernel_height * kernel_width * words
        if (fields["pixels"] + 1 != pixels or fields["last_step"] + 1 != taps
                or fields["tiles"] + 1 != -(-pixels // self.config.rows)):
            raise StopError(Status.ILLEGAL_INSTRUCTION)
        addresses, inside = read_addresses(fields, block)
        self.within(addresses[inside], len(self.activations))
        codes = np.full((pixels, taps, self.config.channels), fields["pad_code"], np.uint8)
        codes[inside] = self.activations[addresses[inside]]
        return codes

    def weight_words(self, first, count):
        """Weights, uint8 (count, columns)."""
        self.within(np.arange(first, first + count), self.config.weight_words)
        return self.weights[first:first + count]

    def records(self, addresses):
        """Coefficients, a list of dicts."""
        self.within(addresses, self.config.coefficient_words)
        return [self.coefficients[address] for address in addresses]

    def write(self, fields, codes, block):
        """Write the codes of a block, uint8 (pixels, channels of the block), as far as they are
        wanted."""
        config = self.config
        parts = config.channels // config.lanes
        groups = codes.shape[1] // config.lanes
        first = block * groups
        group = np.arange(first, min(first + groups, fields["out_groups"] + 1))
        addresses = (fields["out_base"] + np.arange(len(codes))[:, None] * fields["out_step"]
                     + group // parts) % (1 << 16)
        self.within(addresses, len(self.activations))
        memory = self.activations.reshape(len(self.activations), parts, config.lanes)
        memory[addresses, group % parts] = codes.reshape(
            len(codes), -1, config.lanes)[:, :len(group)]

    def within(self, addresses, size):
        """Stop the engine if an address is beyond a memory of ``size`` words."""
        if addresses.size and addresses.max() >= size:
            raise StopError(Status.ILLEGAL_ADDRESS)


def _extents(fields):
    return [fields[name] + 1 for name in ("frames", "out_height", "out_width", "kernel_height",
                                          "kernel_width", "tap_words")]


def read_addresses(fields, block):
    """Where a block of output channels reads.

    Returns
    -------
    addresses : int array, shape (pixels, taps)
    inside : bool array, shape (pixels, taps)
        Whether the tap lies in the input, so that the address is read.
    """
    frame, y, x, ky, kx, word = np.ogrid[tuple(slice(extent) for extent in _extents(fields))]
    addresses = (fields["base"] + block * fields["block_step"]
                 + frame * fields["frame_step"] + y * fields["y_step"] + x * fields["x_step"]
                 + ky * fields["tap_y_step"] + kx * fields["tap_x_step"] + word) % (1 << 16)
    row = y * fields["stride_y"] - fields["pad_top"] + ky * fields["dilation_y"]
    column = x * fields["stride_x"] - fields["pad_left"] + kx * fields["dilation_x"]
    inside = np.broadcast_to((row >= 0) & (row < fields["in_height"]) & (column >= 0)
                             & (column < fields["in_width"]), addresses.shape)
    pixels = fields["pixels"] + 1
    return addresses.reshape(pixels, -1), inside.reshape(pixels, -1)
