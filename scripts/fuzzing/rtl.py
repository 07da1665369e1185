"""Cases on the simulated engine."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hdl.isa import Status
from scripts.fuzzing.checks import require, require_equal
from sim.engine import activation_words, frame_packets, load_packets, start_packet

__all__ = ["Job", "stops_of"]

#: Cycles after the last input within which any case's program must have stopped.
LONGEST = 5_000_000


@dataclass(frozen=True, eq=False)
class Job:
    """A program and frames for it.

    Members
    -------
    network : golden.network.Network
        That was compiled.
    program : compiler.program.Program
    codes : array, shape (N, C, H, W)
    """

    network: Any
    program: Any
    codes: np.ndarray

    def beats(self):
        """What goes into the engine."""
        batches = [self.program.pack(batch) for batch in self.program.batches(self.codes)]
        return np.concatenate([load_packets(self.program), start_packet(0, len(batches)),
                               frame_packets(batches)])

    def require_golden(self, stop):
        """Compare what came out with what golden makes of the frames.

        Returns
        -------
        int
            Codes compared.

        Raises
        ------
        MismatchError
            If the program has not stopped by itself, or a code differs.
        """
        said = ", ".join(status.name for status in stop.statuses) or "none"
        require(stop.statuses == (Status.DONE,), f"the engine's status is {said}, not DONE")
        channels, words = self.program.config.channels, self.program.output_words
        batches = activation_words(stop.beats, channels).reshape(-1, words, channels)
        made = np.concatenate([self.program.unpack(batch) for batch in batches])
        expected = self.network(self.codes)
        require_equal("The engine's output", made[:len(self.codes)], expected)
        return expected.size


def stops_of(simulation, jobs):
    """Run jobs one after the other in one simulation, the engine being reset in between.

    Parameters
    ----------
    simulation : sim.engine.EngineSimulation
    jobs : sequence of Job

    Returns
    -------
    list of sim.engine.Stop
    """
    stops = simulation.session([job.beats() for job in jobs], longest=LONGEST)
    assert len(stops) == len(jobs), "a reset for each job"
    return stops
