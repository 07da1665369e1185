"""An engine on a board: checked, loaded and run over the host link."""

import time
from contextlib import contextmanager

import numpy as np

from hdl.isa import Status
from hdl.linkformat import MAX_WORDS
from hdl.registers import IDENTITY, VERSION
from scripts.console import Refused, running
from scripts.link import Link, LinkError
from scripts.serialport import PortError, opened
from sim.engine import activation_words, frame_packets, load_packets, start_packet
from sim.registers import Registers

__all__ = ["BAUD", "Board", "BoardError", "run_on_board"]


#: Bits a second of the boards' lines.
BAUD = 1_000_000
#: Seconds in which no word moves after which the engine is taken to hang.
PATIENCE = 10.0
#: Words that end what a reset has cut off, at most: of one packet each way.
_ENDS = 1000


class BoardError(RuntimeError):
    """The engine is another one than is wanted, or has stopped."""


class Board:
    """An engine behind a link.

    Parameters
    ----------
    link : scripts.link.Link
        Not open yet.
    """

    def __init__(self, link):
        self.link = link
        self.registers = Registers(link.read, link.write)

    def open(self, config):
        """Begin a session, and make sure that the engine is the one that ``config`` describes.

        Raises
        ------
        LinkError
            If nobody answers.
        BoardError
            If it is not.
        """
        self.link.open()
        identity = self.registers.read("ID")["id"]
        if identity != IDENTITY:
            raise BoardError(f"its register ID is 0x{identity:08X}: there is no Celosia engine")
        version = self.registers.read("VERSION")
        if version["major"] != VERSION[0]:
            raise BoardError(f"its registers are of version {version['major']}, and this host "
                             f"knows version {VERSION[0]}; build the bitstream again")
        found = self.registers.read("ARRAY")
        for memory in ("activation", "weight", "coefficient", "program"):
            found[f"{memory}_words"] = self.registers.read(f"{memory.upper()}_MEMORY")["words"]
        others = [f"{name} {value}, not {getattr(config, name)}" for name, value in found.items()
                  if value != getattr(config, name)]
        if others:
            raise BoardError(f"its engine is not that of {config.name}: {'; '.join(others)}; give "
                             "--config as when the bitstream was built")

    def reset(self):
        """Stop whatever runs, and drop what is left of it in the streams.

        Raises
        ------
        BoardError
            If it does not end.
        """
        self.registers.write("CONTROL", reset=1, discard=1)
        for _ in range(_ENDS):
            words, _ = self.link.receive()
            if not len(words) and not self.registers.read("STATUS")["closing"]:
                self.registers.write("CONTROL")
                return
            # The last word of the packet that was cut off, if one was; else a packet to drop.
            self.link.send([0], last=True)
        raise BoardError("it gives results without end after a reset")

    def load(self, program, *, advance):
        """Fill the memories; ``advance`` is called for every request."""
        since = time.monotonic()
        for words, last in _requests(load_packets(program)):
            left = words
            while len(left):
                taken = self.link.send(left, last=last)
                left = left[taken:]
                since = self._watched(taken, since)
            advance()
        while self.registers.read("STATUS")["loading"]:
            since = self._watched(0, since)

    def run(self, program, codes, *, advance):
        """Run frames of codes (N, C, H, W); return the results.

        ``advance`` is called for every frame that is done.
        """
        batches = [program.pack(part) for part in program.batches(codes)]
        pending = [*_requests(start_packet(0, len(batches))),
                   *_requests(frame_packets(batches))]
        size = program.output_words * -(-program.config.channels // 4)
        results, received, since = [], 0, time.monotonic()
        while received < size * len(batches):
            moved = self._sent(pending)
            # What goes in without hesitation need not be waited for.
            if not moved or not pending:
                words, _ = self.link.receive()
                results.append(words)
                for _ in range((received + len(words)) // size - received // size):
                    advance()
                received += len(words)
                moved += len(words)
            since = self._watched(moved, since)
        self._finished()
        beats = np.concatenate(results).astype("<u4").view(np.uint8).reshape(-1, 4)
        words = activation_words(beats, program.config.channels)
        parts = [program.unpack(part) for part in words.reshape(len(batches), -1, words.shape[1])]
        return np.concatenate(parts)[:len(codes)]

    def _sent(self, pending):
        """Send words of the first of some requests, and forget them; their number."""
        if not pending:
            return 0
        words, last = pending[0]
        taken = self.link.send(words, last=last)
        pending[:1] = [(words[taken:], last)] if taken < len(words) else []
        return taken

    def _finished(self):
        """Wait until the program has ended."""
        since = time.monotonic()
        while (status := self.registers.read("STATUS"))["busy"]:
            since = self._watched(0, since)
        if status["code"] != Status.DONE:
            raise BoardError(_stopped(status))

    def _watched(self, moved, since):
        """Moment of the last movement; looks at the engine whenever nothing has moved."""
        if moved:
            return time.monotonic()
        status = self.registers.read("STATUS")
        if status["code"] not in (Status.NONE, Status.DONE):
            raise BoardError(_stopped(status))
        if time.monotonic() - since > PATIENCE:
            raise BoardError(f"its engine hangs: nothing has moved for {PATIENCE:g} s, "
                             f"busy {status['busy']}, loading {status['loading']}, "
                             f"status {Status(status['code']).name}")
        return since


def _stopped(status):
    reason = Status(status["code"])
    return f"its engine stopped: {reason.name}. {reason.meaning}"


def _requests(beats):
    """Words of packets, given as beats, uint8 (beats, 5), as (words, whether they end one)."""
    words = np.ascontiguousarray(beats[:, :4]).view("<u4")[:, 0]
    begin = 0
    for end in np.flatnonzero(beats[:, 4]) + 1:
        for start in range(begin, end, MAX_WORDS):
            stop = min(start + MAX_WORDS, end)
            yield words[start:stop], stop == end
        begin = end


@contextmanager
def _refusing(port):
    try:
        yield
    except PortError as error:
        raise Refused(f"{error}; give the board's serial port by --port") from None
    except (LinkError, BoardError) as error:
        raise Refused(f"{port}: {error}") from None


def run_on_board(program, codes, *, port, baud):
    """Run frames of codes on the board at a serial port.

    Returns
    -------
    codes : array
        The results.
    remarks : list of str
        How long it took, and what the line lost.

    Raises
    ------
    Refused
        If there is no such port, nobody answers, or the engine is another one or stops.
    """
    with _refusing(port), opened(port, baud) as line:
        board = Board(Link(line, baud=baud))
        with running(f"Waiting for the board at {port}"):
            board.open(program.config)
            board.reset()
        requests = list(_requests(load_packets(program)))
        words = sum(len(part) for part, _ in requests)
        with running(f"Loading {words:,} words", steps=len(requests)) as advance:
            board.load(program, advance=advance)
        begun = time.perf_counter()
        with running(f"Running {len(codes)} frames on the board", steps=len(codes)) as advance:
            results = board.run(program, codes, advance=advance)
        return results, _remarks(time.perf_counter() - begun, len(codes), board.link.losses)


def _remarks(seconds, frames, losses):
    """The engine itself is far quicker than the line."""
    remarks = [f"{seconds:.2f} s for {frames} frames to go in and their results to come out over "
               "the serial line"]
    if losses.silent or losses.damaged or losses.stray:
        remarks.append(
            f"On the line {losses.silent} requests or replies were lost, {losses.damaged} requests "
            f"damaged, and {losses.stray} replies came twice; what was missing was repeated")
    return remarks
