# amaranth: UnusedElaboratable=no
"""The engine as a simulated device: programs and frames in, results and cycles out."""

from dataclasses import dataclass

import numpy as np

from hdl.isa import Destination, Status
from hdl.layouts import pack_records
from hdl.operands import StoredCoefficients
from sim.cosim import Simulation
from sim.harness import RESET_MARK, TracedEngine

__all__ = ["EngineSimulation", "Stop", "Timing", "activation_words", "as_beats", "frame_packets",
           "load_packets", "packet", "reset_beat", "start_packet", "wait_beat"]


#: Bit of a beat's topmost byte that marks it as a :class:`sim.harness.ControlBeat`.
CONTROL = 2
#: Longest run of a program before a section of a session ends all the same.
LONGEST = 1 << 27


def as_beats(words):
    """Return memory words, uint8 (words, bytes), as a packet's beats, uint8 (beats, 5), the last
    one marked."""
    size = -(-words.shape[1] // 4)
    return _marked(np.pad(words, ((0, 0), (0, 4 * size - words.shape[1]))).reshape(-1, 4))


def activation_words(beats, channels):
    """Return the activation words, uint8 (words, channels), in beats; the reverse of
    :func:`as_beats`."""
    words = np.ascontiguousarray(beats[:, :4]).reshape(-1, -(-channels // 4) * 4)
    return np.ascontiguousarray(words[:, :channels])


def packet(destination, address, words):
    """Return a packet's beats for memory words uint8 (words, bytes)."""
    return np.concatenate([_header(destination, address, len(words)), as_beats(words)])


def start_packet(address, frames):
    """Return the beats of the packet that starts a program."""
    return _marked(_header(Destination.START, address, frames)[:, :4])


def frame_packets(frames):
    """Return the beats of frames, each uint8 (words, channels)."""
    return np.concatenate([packet(Destination.FRAME, 0, words) for words in frames])


def wait_beat():
    """Return a beat that waits until no program runs."""
    return np.array([[0, 0, 0, 0, CONTROL]], np.uint8)


def reset_beat(cycles):
    """Return a beat that resets the engine when no program runs, or after so many cycles."""
    value = np.array([cycles << 1 | 1], "<u4").view(np.uint8)
    return np.append(value, CONTROL).astype(np.uint8)[None]


def _header(destination, address, count):
    values = np.array([destination | address << 16, count], "<u4").view(np.uint8).reshape(-1, 4)
    return np.pad(values, ((0, 0), (0, 1)))


def _marked(payload):
    last = np.zeros((len(payload), 1), np.uint8)
    last[-1:] = 1
    return np.concatenate([payload, last], axis=1)


def load_packets(program):
    """Return the beats that fill the memories with a program.

    Parameters
    ----------
    program : compiler.program.Program
        Or another object with its ``words()``, ``weights`` and ``coefficients``.
    """
    layout = StoredCoefficients()
    coefficients = np.frombuffer(pack_records(layout, program.coefficients), np.uint8)
    contents = {
        Destination.PROGRAM: np.array(program.words(), "<u4").view(np.uint8).reshape(-1, 4),
        Destination.WEIGHTS: program.weights,
        Destination.COEFFICIENTS: coefficients.reshape(-1, -(-layout.size // 8)),
    }
    # A packet has at least one word.
    return np.concatenate([packet(destination, 0, words)
                           for destination, words in contents.items() if len(words)])


@dataclass(frozen=True, eq=False)
class Timing:
    """When what happened, in cycles from the start of the program.

    Members
    -------
    begun, done : int64 arrays, shape (batches, instructions)
        For each instruction that makes results: its first activation is asked for; its last
        result is written.
    stopped : int
        The program ends.
    """

    begun: np.ndarray
    done: np.ndarray
    stopped: int


@dataclass(frozen=True, eq=False)
class Stop:
    """What a section of a session gave.

    Members
    -------
    beats : uint8 array, shape (beats, 5)
        What left the output stream.
    statuses : tuple of Status
        Of each program that stopped, and of what was wrong while none ran.
    """

    beats: np.ndarray
    statuses: tuple[Status, ...]


class EngineSimulation:
    """Verilog of :class:`hdl.engine.Engine`, run by Verilator.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`
    """

    def __init__(self, config):
        self.config = config
        self.simulation = Simulation(TracedEngine(config), key=["engine", config.as_dict()])

    def build(self):
        """Compile the simulator, unless that has been done before."""
        self.simulation.build()

    def run(self, program, frames, **options):
        """Load a program and run it on frames.

        Parameters
        ----------
        program : compiler.program.Program
        frames : int8 or uint8 array, shape (N, C, H, W)
        **options
            As for :meth:`sim.cosim.Simulation.run`.

        Returns
        -------
        outputs : int8 or uint8 array, shape (N, C, H, W)
        timing : Timing
        """
        batches = [program.pack(codes) for codes in program.batches(frames)]
        beats = np.concatenate([load_packets(program), start_packet(0, len(batches)),
                                frame_packets(batches)])
        channels = self.config.channels
        shape = len(batches), len(program.layer_of)
        counts = {"o": program.output_words * -(-channels // 4) * len(batches),
                  "begun": shape[0] * shape[1], "trace": shape[0] * shape[1] + 1}
        outputs, _ = self.simulation.run({"i": beats}, counts, **options)
        words = activation_words(outputs["o"], channels).reshape(len(batches), -1, channels)
        _, done = _records(outputs["trace"])
        _, begun = _records(outputs["begun"])
        timing = Timing(begun.reshape(shape), done[:-1].reshape(shape), int(done[-1]))
        codes = np.concatenate([program.unpack(batch) for batch in words])
        return codes[:len(frames)], timing

    def session(self, sections, *, longest=LONGEST, **options):
        """Run beats section by section, the engine being reset after each.

        Parameters
        ----------
        sections : sequence of uint8 arrays, shape (beats, 5)
            A reset follows each as soon as no program runs.
        longest : int, or a sequence of them
            Cycles after the last beat of each section after which it is cut off anyway.
        **options
            As for :meth:`sim.cosim.Simulation.run`.

        Returns
        -------
        list of Stop
        """
        beats = np.concatenate([
            part for section, cycles in zip(
                sections, np.broadcast_to(longest, len(sections)), strict=True)
            for part in (section, reset_beat(int(cycles)))])
        outputs, _ = self.simulation.run({"i": beats}, None, **options)
        marks, values = _records(outputs["trace"])
        ends = np.flatnonzero(marks == RESET_MARK)
        assert len(ends) >= len(sections), "a section has not come to its end"
        stops, begin, sent = [], 0, 0
        for end in ends:
            statuses = tuple(Status(int(mark)) for mark in marks[begin:end] if mark)
            stops.append(Stop(outputs["o"][sent:values[end]], statuses))
            begin, sent = end + 1, values[end]
        return stops


def _records(trace):
    """Marks and values of a :class:`sim.harness.TracedEngine`'s trace."""
    words = np.ascontiguousarray(trace).reshape(-1, 4).view("<u4")[:, 0]
    return words >> 28, (words & 0xFFF_FFFF).astype(np.int64)
