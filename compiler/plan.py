"""What goes where, and in which order, before any of it is made."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from compiler.allocate import allocate, room
from compiler.bands import Cut, distances, margins
from compiler.estimate import frame_beats, instruction_cycles
from compiler.fold import Fold
from compiler.geometry import address, check_fields
from compiler.layout import Region
from compiler.placement import Placed
from compiler.schedule import Lifetimes, assembled, waits
from golden.concat import ConcatLayer
from hdl.config import Configuration
from hdl.isa import INSTRUCTION_WORDS, Opcode

__all__ = ["Piece", "Plan", "places"]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What an instruction computes: a band of what a job makes.

    Members
    -------
    index : int
        Of the node.
    job : job
    weights, coefficients : int
        First word of its weights, and first record.
    band : (int, int)
        First output line and end; see :class:`compiler.bands.Cut`.
    again : bool
        Whether it is the first instruction of a band that follows another one.
    """

    index: int
    job: Any
    weights: int
    coefficients: int
    band: tuple[int, int] = (0, 0)
    again: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """One way to compute a network.

    Parameters
    ----------
    config : Configuration
    batch : int
        Frames at a time.
    fold : Fold or None
    placed : Placed
    jobs : tuple of (int, job)
        For every instruction that computes, the index of its node and what makes its fields,
        weights and coefficients.
    lifetimes : Lifetimes
    cuts : dict of Cut
        By the index of the node.
    bases : dict of int, or None
        First word of each buffer; None if they do not fit.
    receive_step : int
        First step from which on nothing but the next frame uses the frame's region.
    unlimited : bool
        As for :func:`plan_network`.
    parts : int
        Bands that layers may be cut into.
    """

    config: Configuration
    batch: int
    fold: Fold | None
    placed: Placed
    jobs: tuple[tuple[int, Any], ...]
    lifetimes: Lifetimes
    cuts: dict[int, Cut]
    bases: dict[str, int] | None
    receive_step: int
    unlimited: bool
    parts: int = 1

    @property
    def network(self):
        """With folds and copies."""
        return self.placed.network

    @property
    def layer_of(self):
        """For each instruction that makes results the index of its node in ``network``."""
        return tuple(piece.index for piece in self.pieces)

    @cached_property
    def pieces(self):
        """The :class:`Piece` of each instruction that makes results."""
        whole, weights, coefficients = {}, 0, 0
        for index, job in self.jobs:
            whole.setdefault(index, []).append(Piece(
                index=index, job=job, weights=weights, coefficients=coefficients))
            weights += job.weight_count
            coefficients += job.coefficient_count
        pieces = []
        for index, cut in self.cuts.items():
            bands = cut.divided(self.bases) if self.bases else [(0, cut.lines)]
            for number, band in enumerate(bands):
                pieces += [replace(piece, band=band, again=number > 0 and piece is whole[index][0])
                           for piece in whole[index]]
        return tuple(pieces)

    def regions(self):
        """The :class:`Region` of every tensor by name."""
        placed, shapes, regions = self.placed, self.network.shapes(), {}
        bases = self.bases or dict.fromkeys(shapes, 0)
        for name, view in placed.views.items():
            regions[name] = Region(
                base=address(bases[view.buffer] + view.offset), shape=shapes[name],
                frames=self.batch, layout=placed.layouts[name], step=placed.step(name))
        return regions

    @cached_property
    def instructions(self):
        """Fields of all instructions.

        Raises
        ------
        ValueError
            If an instruction cannot hold them.
        """
        nodes, regions = self.network.nodes, self.regions()
        parts = {node.output: set(node.inputs) for node in nodes
                 if isinstance(node.layer, ConcatLayer)}
        layers = []
        for piece in self.pieces:
            node, cut = nodes[piece.index], self.cuts[piece.index]
            sources, top = cut.sources([regions[name] for name in node.inputs], *piece.band)
            fields = piece.job.fields(sources, cut.target(regions[node.output], *piece.band), top)
            fields |= {"weight_base": address(piece.weights) if piece.job.weight_count else 0,
                       "coefficient_base": address(piece.coefficients),
                       "wait_input": int(not layers)}
            check_fields(f"Layer {node.layer.name}", fields, self.config)
            layers.append(fields)
        flags = waits([_with_parts(nodes[index].inputs, parts) for index in self.layer_of],
                      [nodes[index].output for index in self.layer_of],
                      [fields["opcode"] for fields in layers])
        for fields, wait, piece in zip(layers, flags, self.pieces, strict=True):
            fields["wait"] = int(wait or piece.again)
        return assembled(layers, self.steps(), regions[self.network.input],
                         regions[self.network.output], self.config, self.receive_step)

    def steps(self):
        """The step of each instruction that makes results."""
        return [self.cuts[piece.index].step for piece in self.pieces]

    @cached_property
    def demands(self):
        """What each memory must hold: its words, and those that one node takes, for each node."""
        nodes = self.network.nodes
        by_node = {name: [0] * len(nodes) for name in (
            "program_words", "weight_words", "coefficient_words", "activation_words")}
        for piece in self.pieces:
            by_node["program_words"][piece.index] += INSTRUCTION_WORDS
        for index, job in self.jobs:
            by_node["weight_words"][index] += job.weight_count
            by_node["coefficient_words"][index] += job.coefficient_count
        buffers = self.lifetimes.with_frame_from(self.lifetimes.last + 1)
        near = margins(self.cuts.values(), self.parts) if self.parts > 1 else []
        apart = distances(near, buffers)
        for index, cut in self.cuts.items():
            live = [buffer for buffer in buffers if cut.step in buffer.steps()]
            by_node["activation_words"][index] = room(live, apart)
        totals = {name: sum(words) for name, words in by_node.items()}
        totals["program_words"] += 4 * INSTRUCTION_WORDS
        totals["activation_words"] = room(buffers, apart) if self.bases is None else max(
            self.bases[buffer.name] + buffer.size for buffer in buffers)
        return {name: (totals[name], by_node[name]) for name in by_node}

    def in_bands(self):
        """The same with layers cut into as few bands as it takes to fit activation memory; if
        none will do, into single lines, without places."""
        parts, most = 1, max(cut.lines for cut in self.cuts.values())
        while True:
            parts = min(2 * parts, most)
            bases, step = places(self.lifetimes, self.config.activation_words,
                                 margins(self.cuts.values(), parts))
            if bases is not None or parts == most:
                return replace(self, bases=bases, receive_step=step, parts=parts)

    def fits(self):
        """Whether all memories are large enough."""
        return self.bases is not None and (self.unlimited or not self.excess())

    def checked(self):
        """The same; an error, as of :attr:`instructions`, if it fits but cannot be said."""
        if self.fits():
            self.period()
        return self

    def excess(self):
        """Names of the memories that are too small, the one that lacks most first."""
        factors = {name: words / getattr(self.config, name)
                   for name, (words, _) in self.demands.items()}
        return sorted((name for name, factor in factors.items() if factor > 1),
                      key=lambda name: -factors[name])

    def period(self):
        """Roughly the cycles from one frame to the next, and the beats of a frame."""
        instructions = self.instructions[1:]
        cycles = [instruction_cycles(fields, self.config) for fields in instructions]
        place = next(index for index, fields in enumerate(instructions)
                     if fields["opcode"] == Opcode.RECEIVE)
        beats = frame_beats(self.config, instructions[place]["pixels"] + 1)
        return sum(cycles) + max(0, beats - sum(cycles[place:])), beats


def places(lifetimes, words, near=()):
    """Places of all buffers in so many words, and the earliest step from which on the next frame
    can come; ``near`` is as in :func:`compiler.bands.distances`."""
    read = lifetimes.frame.spans[0][1]
    for step in range(read + 1, lifetimes.last + 2):
        buffers = lifetimes.with_frame_from(step)
        bases = allocate(buffers, words, distances(near, buffers))
        if bases is not None:
            return bases, step
    return None, lifetimes.last + 1


def _with_parts(names, parts):
    """Tensors and what they are made of."""
    found, todo = set(), list(names)
    while todo:
        name = todo.pop()
        found.add(name)
        todo += parts.get(name, ())
    return found
