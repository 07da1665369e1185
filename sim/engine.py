"""The engine as a simulated device: programs and frames in, results and cycles out."""

import numpy as np

from hdl.isa import Destination
from hdl.operands import StoredCoefficients
from sim.cosim import Simulation
from sim.harness import TracedEngine

__all__ = ["EngineSimulation", "load_packets", "packet", "start_packet"]


def packet(destination, address, words):
    """Return a packet's beats, uint8 (beats, 5), for memory words uint8 (words, bytes)."""
    size = -(-words.shape[1] // 4)
    padded = np.pad(words, ((0, 0), (0, 4 * size - words.shape[1])))
    payload = np.concatenate([
        np.array([destination | address << 16, len(words)], "<u4").view(np.uint8).reshape(-1, 4),
        padded.reshape(-1, 4)])
    return _marked(payload)


def start_packet(address, frames):
    """Return the beats of the packet that starts a program."""
    return _marked(np.array([Destination.START | address << 16, frames], "<u4")
                   .view(np.uint8).reshape(-1, 4))


def _marked(payload):
    last = np.zeros((len(payload), 1), np.uint8)
    last[-1] = 1
    return np.concatenate([payload, last], axis=1)


def load_packets(program):
    """Return the beats that fill the memories with a program."""
    layout = StoredCoefficients()
    coefficients = b"".join(layout.const(fields).as_bits().to_bytes(9, "little")
                            for fields in program.coefficients)
    return np.concatenate([
        packet(Destination.PROGRAM, 0,
               np.array(program.words(), "<u4").view(np.uint8).reshape(-1, 4)),
        packet(Destination.WEIGHTS, 0, program.weights),
        packet(Destination.COEFFICIENTS, 0,
               np.frombuffer(coefficients, np.uint8).reshape(-1, 9)),
    ])


class EngineSimulation:
    """Verilog of :class:`hdl.engine.Engine`, run by Verilator.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`
    """

    def __init__(self, config):
        self.config = config
        self.simulation = Simulation(TracedEngine(config))

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
        times : int64 array
            Cycles from the start of the program to the end of each instruction that computes,
            frame after frame, and to the program's end.
        """
        beats = [load_packets(program), start_packet(0, len(frames))]
        beats += [packet(Destination.FRAME, 0, program.pack(codes)) for codes in frames]
        size = program.regions[-1].size
        beats_per_word = -(-self.config.channels // 4)
        counts = {"o": size * beats_per_word * len(frames),
                  "trace": len(program.layer_of) * len(frames) + 1}
        outputs, _ = self.simulation.run({"i": np.concatenate(beats)}, counts, **options)
        words = outputs["o"][:, :4].reshape(len(frames), size, -1)[:, :, :self.config.channels]
        trace = outputs["trace"].reshape(-1, 4).view("<u4")[:, 0]
        return (np.stack([program.unpack(np.ascontiguousarray(frame)) for frame in words]),
                (trace & 0xFFF_FFFF).astype(np.int64))
