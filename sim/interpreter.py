"""Executes programs word by word: what instructions mean, independently of how they are made
and of the hardware that carries them out."""

from dataclasses import dataclass

import numpy as np

from golden.conv import exact_float
from golden.requant import requantise
from hdl.isa import INSTRUCTION_WORDS, Destination, Opcode, Status, disassemble
from hdl.layouts import Rounding
from hdl.operands import StoredCoefficients

__all__ = ["Interpreter", "Outcome", "read_addresses"]


#: Largest product of two operands of the array, in magnitude.
PRODUCT = 128 * 128


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gave.

    Members
    -------
    status : Status
        NONE if the program waits for a frame that does not come.
    sent : tuple of uint8 arrays, shape (words, channels)
        Words of every SEND.
    """

    status: Status
    sent: tuple[np.ndarray, ...]


class _StopError(Exception):
    """The engine stops with a status."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


class Interpreter:
    """An engine without time: an instruction is done before the next one begins.

    The engine does the same for every program whose instructions say ``wait`` and ``wait_input``
    wherever they read what an earlier one writes.

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

    def run(self, frames, *, address=0, count=None):
        """Run the program at ``address``.

        Parameters
        ----------
        frames : sequence of uint8 arrays, shape (words, channels)
        count : int, at least 1
            What the program is told of their number; by default the truth.

        Returns
        -------
        Outcome
        """
        pending = list(frames)
        left = len(pending) if count is None else count
        sent = []
        try:
            while True:
                fields = self._fetch(address)
                address += INSTRUCTION_WORDS
                opcode = fields["opcode"]
                if opcode == Opcode.CONV:
                    self._convolve(fields)
                elif opcode == Opcode.SEND:
                    sent.append(self._send(fields))
                elif opcode == Opcode.RECEIVE:
                    if left > 1 or not fields["next"]:
                        self._receive(fields, pending)
                elif opcode == Opcode.END:
                    left -= 1
                    address = fields["base"]
                    if left <= 0:
                        return Outcome(Status.DONE, tuple(sent))
                else:
                    raise _StopError(Status.ILLEGAL_INSTRUCTION)
        except _StopError as stop:
            return Outcome(stop.status, tuple(sent))

    def _fetch(self, address):
        words = self.program[address:address + INSTRUCTION_WORDS]
        if len(words) < INSTRUCTION_WORDS:
            raise _StopError(Status.ILLEGAL_ADDRESS)
        return disassemble(words)

    def _receive(self, fields, pending):
        if not pending:
            raise _StopError(Status.NONE)
        frame = pending.pop(0)
        expected = fields["pixels"] + 1
        if len(frame) != expected:
            raise _StopError(Status.SHORT_PACKET if len(frame) < expected else Status.LONG_PACKET)
        addresses = fields["base"] + np.arange(expected)
        self._within(addresses, len(self.activations))
        self.activations[addresses] = frame

    def _send(self, fields):
        if fields["last_step"] or fields["blocks"]:
            raise _StopError(Status.ILLEGAL_INSTRUCTION)
        return self._codes(fields, 0)[:, 0]

    def _convolve(self, fields):
        """Blocks of output channels one after the other, each a matrix product."""
        config = self.config
        depth = (fields["last_step"] + 1) * config.channels
        real = exact_float(PRODUCT * depth)
        results = []
        for block in range(fields["blocks"] + 1):
            codes = self._codes(fields, block)
            codes = codes.reshape(len(codes), -1)
            operand = codes.astype(np.int16) - 128 if fields["unsigned"] else codes.view(np.int8)
            rows = fields["weight_base"] + block * depth + np.arange(depth)
            self._within(rows, config.weight_words)
            weights = self.weights[rows].view(np.int8)
            sums = (operand.astype(real) @ weights.astype(real)).astype(np.int64)
            first = fields["coefficient_base"] + block * config.columns
            channels = np.arange(first, first + config.columns)
            self._within(channels, config.coefficient_words)
            results.append(self._requantised(fields, _wrapped(sums, config.accumulator_width),
                                             [self.coefficients[index] for index in channels]))
        for block, codes in enumerate(results):
            self._write(fields, codes, block * config.slots)

    def _codes(self, fields, block):
        """Codes under the kernel, uint8 (pixels, taps, channels)."""
        frames, height, width, kernel_height, kernel_width, words = _extents(fields)
        pixels, taps = frames * height * width, kernel_height * kernel_width * words
        if (fields["pixels"] + 1 != pixels or fields["last_step"] + 1 != taps
                or fields["tiles"] + 1 != -(-pixels // self.config.rows)):
            raise _StopError(Status.ILLEGAL_INSTRUCTION)
        addresses, inside = read_addresses(fields, block)
        self._within(addresses[inside], len(self.activations))
        codes = np.full((pixels, taps, self.config.channels), fields["pad_code"], np.uint8)
        codes[inside] = self.activations[addresses[inside]]
        return codes

    def _requantised(self, fields, sums, records):
        """Codes, uint8 (pixels, channels), from the array's sums."""
        columns = {name: np.array([record[name] for record in records], np.int64)
                   for name in StoredCoefficients().members}
        total = _wrapped(sums + columns["bias"], 32)
        codes = np.empty(sums.shape, np.uint8)
        for rounding in Rounding:
            chosen = columns["rounding"] == rounding
            codes[:, chosen] = requantise(
                total[:, chosen], columns["multiplier"][chosen], columns["shift"][chosen],
                rounding=rounding.name.lower(), zero_point=fields["zero"], low=fields["low"],
                high=fields["high"]) & 255
        return codes

    def _write(self, fields, codes, first):
        """Write the codes (pixels, columns) of a block whose groups count from ``first``."""
        config = self.config
        parts = config.channels // config.lanes
        group = np.arange(first, min(first + config.slots, fields["out_groups"] + 1))
        addresses = (fields["out_base"] + np.arange(len(codes))[:, None] * fields["out_step"]
                     + group // parts) % (1 << 16)
        self._within(addresses, len(self.activations))
        memory = self.activations.reshape(len(self.activations), parts, config.lanes)
        memory[addresses, group % parts] = codes.reshape(
            len(codes), -1, config.lanes)[:, :len(group)]

    def _within(self, addresses, size):
        if addresses.size and addresses.max() >= size:
            raise _StopError(Status.ILLEGAL_ADDRESS)


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


def _wrapped(values, width):
    """Values modulo 2^width, as signed numbers."""
    return (values + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))
