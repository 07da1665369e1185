"""Code generation: a network becomes a program and the contents of the memories."""

from dataclasses import dataclass

import numpy as np

from compiler.fold import Fold
from compiler.layout import Region
from compiler.planner import plan_network
from compiler.simplify import simplified
from golden.base import code_type
from golden.checks import integer
from golden.network import Network
from hdl.config import Configuration
from hdl.isa import assemble

__all__ = ["Program", "compile_network"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """What the engine is loaded with, and how frames go in and results come out.

    Members
    -------
    config : Configuration
    network : golden.network.Network
        As the engine computes it: without what the output does not depend on, with copies of
        tensors that must be in two places, and with the first layer folded if ``fold`` says so.
        Of folded frames it makes what the network that was compiled makes of frames.
    fold : compiler.fold.Fold or None
        How the first layer was folded.
    batch : int
        Frames that the engine takes in, computes and gives out together.
    regions : dict of compiler.layout.Region
        Where each tensor of ``network`` lies while it is needed.
    instructions : tuple of dict
        Fields of every instruction; see :func:`hdl.isa.assemble`.
    layer_of : tuple of int
        For each instruction that makes results, in order, the index of its node in ``network``.
    weights : uint8 array, shape (words, columns)
    coefficients : tuple of dict
        Fields of :class:`hdl.operands.StoredCoefficients`.
    """

    config: Configuration
    network: Network
    fold: Fold | None
    batch: int
    regions: dict[str, Region]
    instructions: tuple[dict, ...]
    layer_of: tuple[int, ...]
    weights: np.ndarray
    coefficients: tuple[dict, ...]

    def words(self):
        """The program memory's 32-bit words."""
        return [word for fields in self.instructions for word in assemble(**fields)]

    @property
    def input_words(self):
        """Activation words that go in for a batch."""
        return self.regions[self.network.input].size

    @property
    def output_words(self):
        """Activation words that come out for a batch."""
        return self.regions[self.network.output].size

    def pack(self, codes):
        """Words that go in, uint8 (words, channels), for frames of codes (N, C, H, W).

        There may be fewer frames than the engine takes together: zeros fill them up.

        Raises
        ------
        TypeError, ValueError
            If their type, number or shape is wrong.
        """
        wanted = code_type(self.network.input_unsigned)
        if codes.dtype != wanted:
            raise TypeError(f"Frames must be {np.dtype(wanted)}, not {codes.dtype}")
        if not 1 <= len(codes) <= self.batch:
            raise ValueError(f"There must be 1 to {self.batch} frames, not {len(codes)}")
        region = self.regions[self.network.input]
        shape = region.shape if self.fold is None else self.fold.frame_shape
        if codes.shape[1:] != shape:
            raise ValueError(f"Frames must have shape {shape}, not {codes.shape[1:]}")
        if self.fold is not None:
            codes = self.fold.fold(codes)
        channels, height, width = region.shape
        packed = np.zeros((self.batch, height, width, region.words * self.config.channels),
                          np.uint8)
        packed[:len(codes), :, :, :channels] = codes.transpose(0, 2, 3, 1).view(np.uint8)
        return packed.reshape(-1, self.config.channels)

    def batches(self, codes):
        """Yield frames (N, C, H, W), as many as go in together."""
        for start in range(0, len(codes), self.batch):
            yield codes[start:start + self.batch]

    def unpack(self, words):
        """Output codes (batch, C, H, W) from the words that come out."""
        region = self.regions[self.network.output]
        pixels = words.reshape(self.batch, *region.shape[1:], -1)[..., region.layout.places]
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).view(self._output_type)

    @property
    def _output_type(self):
        return next(node.layer.output_type for node in self.network.nodes
                    if node.output == self.network.output)


def compile_network(network, config, *, batch=1):
    """Return the :class:`Program` of a network.

    Parameters
    ----------
    network : golden.network.Network
    config : Configuration
    batch : int, 1 to 256
        Frames computed together. Layers whose output is a single pixel, fully connected ones
        above all, use only one row of the array for each frame.

    Raises
    ------
    ValueError
        If something does not fit the configuration; the message says what, by how much, and which
        shipped configuration would do.
    """
    if not isinstance(network, Network):
        raise TypeError(f"Network must be a Network, not {network!r}")
    plan = plan_network(simplified(network), config, integer("batch", batch, 1, 256))
    jobs = [job for _, job in plan.jobs]
    return Program(
        config=config, network=plan.network, fold=plan.fold, batch=batch, regions=plan.regions(),
        instructions=plan.instructions, layer_of=plan.layer_of,
        weights=np.concatenate([job.weights() for job in jobs]),
        coefficients=tuple(record for job in jobs for record in job.coefficients()))
