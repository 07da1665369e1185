"""Executes programs word by word: what instructions mean, independently of how they are made
and of the hardware that carries them out."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from golden.conv import exact_float
from golden.requant import requantise
from hdl.isa import INSTRUCTION_WORDS, Opcode, Status, disassemble
from hdl.layouts import Rounding
from hdl.operands import StoredCoefficients
from sim.machine import Machine, StopError

__all__ = ["Interpreter", "Outcome"]


#: Largest product of two operands of the array, in magnitude.
PRODUCT = 128 * 128
#: Rows, and columns, of the window unit's kernel.
WINDOW = 3
#: Entries of a table: one for each code.
ENTRIES = 256


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


class Interpreter(Machine):
    """An engine without time: an instruction is done before the next one begins.

    The engine does the same for every program whose instructions say ``wait`` and ``wait_input``
    wherever they read what an earlier one writes.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`
    """

    def _computing(self):
        """What computes the blocks of a layer, for each opcode that there is a unit for.

        Each yields for every block its sums, int64 (output pixels, channels of the block), and
        the addresses of the coefficients of these channels.
        """
        units: dict[int, Any] = {Opcode.CONV: self._convolution}
        if self.config.window_width:
            units[Opcode.DEPTHWISE] = self._depthwise
        if self.config.vector:
            units[Opcode.VECTOR] = self._vector
        return units

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
        computing = self._computing()
        sent = []
        try:
            while True:
                fields = self._fetch(address)
                address += INSTRUCTION_WORDS
                opcode = fields["opcode"]
                if opcode in computing:
                    self._layer(fields, computing[opcode])
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
                    raise StopError(Status.ILLEGAL_INSTRUCTION)
        except StopError as stop:
            return Outcome(stop.status, tuple(sent))

    def _fetch(self, address):
        words = self.program[address:address + INSTRUCTION_WORDS]
        if len(words) < INSTRUCTION_WORDS:
            raise StopError(Status.ILLEGAL_ADDRESS)
        return disassemble(words)

    def _receive(self, fields, pending):
        if not pending:
            raise StopError(Status.NONE)
        frame = pending.pop(0)
        expected = fields["pixels"] + 1
        if len(frame) != expected:
            raise StopError(Status.SHORT_PACKET if len(frame) < expected else Status.LONG_PACKET)
        addresses = fields["base"] + np.arange(expected)
        self.within(addresses, len(self.activations))
        self.activations[addresses] = frame

    def _send(self, fields):
        if fields["last_step"] or fields["blocks"]:
            raise StopError(Status.ILLEGAL_INSTRUCTION)
        return self.codes(fields, 0)[:, 0]

    def _layer(self, fields, blocks):
        """Compute all blocks of channels before the first result is written."""
        results = [self._requantised(fields, sums, self.records(addresses))
                   for sums, addresses in blocks(fields)]
        for block, codes in enumerate(results):
            self.write(fields, codes, block)

    def _convolution(self, fields):
        """A matrix product for each block."""
        config = self.config
        depth = (fields["last_step"] + 1) * config.channels
        real = exact_float(PRODUCT * depth)
        for block in range(fields["blocks"] + 1):
            codes = self.codes(fields, block)
            operand = _operand(fields, codes.reshape(len(codes), -1))
            weights = self.weight_words(fields["weight_base"] + block * depth, depth)
            sums = (operand.astype(real) @ weights.view(np.int8).astype(real)).astype(np.int64)
            yield (_wrapped(sums, config.accumulator_width),
                   _channels(fields["coefficient_base"], block, config.columns))

    def _depthwise(self, fields):
        """A window slides over the words read, which are those of a padded input."""
        config = self.config
        frames, height, width = (fields[name] + 1 for name in ("frames", "out_height", "out_width"))
        strides = fields["window_stride_y"], fields["window_stride_x"]
        if (fields["last_step"] or not all(strides) or min(height, width) < WINDOW
                or width > config.window_width):
            raise StopError(Status.ILLEGAL_INSTRUCTION)
        rows, columns = ((size - WINDOW) // stride + 1
                         for size, stride in zip((height, width), strides, strict=True))
        if frames * rows * columns != fields["out_pixels"] + 1:
            raise StopError(Status.ILLEGAL_INSTRUCTION)
        taps = WINDOW * WINDOW
        words = -(-taps // config.columns) * config.channels
        for block in range(fields["blocks"] + 1):
            operand = _operand(fields, self.codes(fields, block)).reshape(
                frames, height, width, config.channels)
            weights = self.weight_words(fields["weight_base"] + block * words, words)
            weights = weights.view(np.int8).ravel()[:taps * config.channels].reshape(
                WINDOW, WINDOW, config.channels)
            sums = np.zeros((frames, rows, columns, config.channels), np.int64)
            for ky, kx in np.ndindex(WINDOW, WINDOW):
                under = operand[:, ky:ky + height - WINDOW + 1:strides[0],
                                kx:kx + width - WINDOW + 1:strides[1]]
                sums += under.astype(np.int64) * weights[ky, kx]
            yield (sums.reshape(-1, config.channels),
                   _channels(fields["coefficient_base"], block, config.channels))

    def _vector(self, fields):
        """The sum or the greatest of what lies under the taps, or of its table entries."""
        first = fields["coefficient_base"]
        tables = None
        if fields["table"]:
            records = self.records(np.arange(first, first + ENTRIES))
            tables = np.array([[record[name] for record in records]
                               for name in ("bias", "multiplier")], np.int64)
            first += ENTRIES
        for block in range(fields["blocks"] + 1):
            values = self.codes(fields, block)
            if tables is not None:
                parity = np.arange(values.shape[1])[:, None] % 2
                values = tables[parity, values]
            elif not fields["unsigned"]:
                values = values.view(np.int8)
            values = values.astype(np.int64)
            combined = values.max(axis=1) if fields["maximum"] else values.sum(axis=1)
            yield _wrapped(combined, 32), _channels(first, block, self.config.channels)

    def _requantised(self, fields, sums, records):
        """Codes, uint8 (pixels, channels), from sums."""
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


def _channels(first, block, channels):
    """Addresses of the coefficients of a block."""
    return np.arange(first, first + channels) + block * channels


def _operand(fields, codes):
    """Codes as the array and the window unit see them, int16."""
    if fields["unsigned"]:
        return codes.astype(np.int16) - 128
    return codes.view(np.int8).astype(np.int16)


def _wrapped(values, width):
    """Values modulo 2^width, as signed numbers."""
    return (values + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))
