"""What goes where, and in which order, before any of it is made."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from compiler.allocate import allocate, live_words, room
from compiler.estimate import frame_beats, instruction_cycles
from compiler.fold import Fold, folds_of
from compiler.geometry import address, check_fields
from compiler.layout import Region
from compiler.lower_conv import conv_jobs
from compiler.lower_depthwise import DepthwiseJob, suits_window
from compiler.lower_vector import VectorJob
from compiler.rewrite import Placed, on_the_array, place, pruned, reordered
from compiler.schedule import Lifetimes, assembled, waits
from golden.concat import ConcatLayer
from golden.layer import ConvLayer
from golden.network import Network
from hdl.config import CONFIGURATIONS, Configuration
from hdl.isa import ADDRESS_WIDTH, INSTRUCTION_WORDS, Opcode

__all__ = ["Plan", "ShortageError", "plan_network"]


#: Words that an address reaches.
LARGEST_MEMORY = 1 << ADDRESS_WIDTH


class ShortageError(ValueError):
    """A memory of the configuration is too small.

    Members
    -------
    demands : dict of int
        Words of each memory that the plan which comes nearest to fitting needs.
    """

    def __init__(self, message, demands):
        super().__init__(message)
        self.demands = demands


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
    bases : dict of int, or None
        First word of each buffer; None if they do not fit.
    receive_step : int
        First step from which on nothing but the next frame uses the frame's region.
    unlimited : bool
        As for :func:`plan_network`.
    """

    config: Configuration
    batch: int
    fold: Fold | None
    placed: Placed
    jobs: tuple[tuple[int, Any], ...]
    lifetimes: Lifetimes
    bases: dict[str, int] | None
    receive_step: int
    unlimited: bool

    @property
    def network(self):
        """With folds and copies."""
        return self.placed.network

    @property
    def layer_of(self):
        """For each instruction that makes results the index of its node in ``network``."""
        return tuple(index for index, _ in self.jobs)

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
        layers, weight_base, coefficient_base = [], 0, 0
        for index, job in self.jobs:
            node = nodes[index]
            fields = job.fields([regions[name] for name in node.inputs], regions[node.output])
            fields |= {"weight_base": address(weight_base) if job.weight_count else 0,
                       "coefficient_base": address(coefficient_base),
                       "wait_input": int(not layers)}
            check_fields(f"Layer {node.layer.name}", fields)
            layers.append(fields)
            weight_base += job.weight_count
            coefficient_base += job.coefficient_count
        flags = waits([_with_parts(nodes[index].inputs, parts) for index, _ in self.jobs],
                      [nodes[index].output for index, _ in self.jobs],
                      [fields["opcode"] for fields in layers])
        for fields, wait in zip(layers, flags, strict=True):
            fields["wait"] = int(wait)
        return assembled(layers, self.steps(), regions[self.network.input],
                         regions[self.network.output], self.config, self.receive_step)

    def steps(self):
        """The step of each job: nodes that compute, counted."""
        steps = {index: step for step, index in enumerate(sorted({job[0] for job in self.jobs}))}
        return [steps[index] for index, _ in self.jobs]

    @cached_property
    def demands(self):
        """What each memory must hold: its words, and those that one node takes, for each node."""
        nodes, lifetimes = self.network.nodes, self.lifetimes
        by_node = {name: [0] * len(nodes) for name in (
            "program_words", "weight_words", "coefficient_words", "activation_words")}
        for index, job in self.jobs:
            by_node["program_words"][index] += INSTRUCTION_WORDS
            by_node["weight_words"][index] += job.weight_count
            by_node["coefficient_words"][index] += job.coefficient_count
        buffers = lifetimes.with_frame_from(lifetimes.last + 1)
        live = live_words(buffers)
        for (index, _), step in zip(self.jobs, self.steps(), strict=True):
            by_node["activation_words"][index] = live[step]
        totals = {name: sum(words) for name, words in by_node.items()}
        totals["program_words"] += 4 * INSTRUCTION_WORDS
        totals["activation_words"] = room(buffers) if self.bases is None else max(
            self.bases[buffer.name] + buffer.size for buffer in buffers)
        return {name: (totals[name], by_node[name]) for name in by_node}

    def fits(self):
        """Whether all memories are large enough."""
        return self.bases is not None and (self.unlimited or not self.excess())

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


def plan_network(network: Network, config, batch, *, unlimited=False):
    """Return the :class:`Plan` that takes the fewest cycles from frame to frame.

    Parameters
    ----------
    network : golden.network.Network
    config : Configuration
    batch : int
        Frames at a time.
    unlimited : bool
        Take all memories for as large as need be. Addresses in the instructions are then modulo
        what their fields hold: good to tell cycles, not to be run.

    Raises
    ------
    ValueError
        If the configuration lacks a unit or a memory is too small (then a
        :class:`ShortageError`), or an instruction cannot hold what a layer needs.
    """
    network = pruned(network)
    plans, error = _plans(network, config, batch, unlimited=unlimited)
    fitting = [plan for plan in plans if plan.fits()]
    if fitting:
        return min(fitting, key=Plan.period)
    if error is not None and not plans:
        raise error
    least = min(plans, key=lambda plan: (len(plan.excess()),
                                         plan.demands["activation_words"][0]))
    raise ShortageError(_shortage(least, network),
                        {name: words for name, (words, _) in least.demands.items()})


def _plans(network, config, batch, *, unlimited=False):
    """Plans with which to compute a network, whether they fit or not; and why another one will
    not do."""
    plans, error = [], None
    computable = on_the_array(network, config)
    for ordered in (computable, reordered(computable, config)):
        folds = [fold for fold in folds_of(ordered, config, batch) if fold is not None]
        for fold in (*folds, None):
            try:
                plan = _plan(ordered if fold is None else fold.apply(ordered), fold, config, batch,
                             unlimited)
                if plan.fits():
                    plan.period()       # Raises if its instructions cannot hold it.
            except ValueError as reason:
                error = reason
            else:
                plans.append(plan)
        # Another order may take less activation memory, but no less of the others.
        if any(plan.bases is not None for plan in plans):
            break
    return plans, error


def _plan(network, fold, config, batch, unlimited):
    def choose(layer, in_shape, out_shape):
        if not isinstance(layer, ConvLayer):
            return Opcode.VECTOR
        window = suits_window(layer, in_shape, out_shape, config, batch)
        return Opcode.DEPTHWISE if window else Opcode.CONV

    placed = place(network, choose, config, batch).in_place()
    network = placed.network
    makers: dict[Opcode, Callable] = {
        Opcode.CONV: conv_jobs,
        Opcode.DEPTHWISE: lambda *arguments: [DepthwiseJob(*arguments)],
        Opcode.VECTOR: lambda *arguments: [VectorJob(*arguments)]}
    jobs = tuple(
        (index, job) for index, node in enumerate(network.nodes) if node.output in placed.units
        for job in makers[placed.units[node.output]](
            node.layer, placed.layouts[node.inputs[0]], config))
    sizes = {name: batch * placed.layouts[name].words * height * width
             for name, (_, height, width) in network.shapes().items()}
    lifetimes = Lifetimes.of(network, sizes, placed.views)
    bases, step = _places(lifetimes, sys.maxsize if unlimited else config.activation_words)
    return Plan(config=config, batch=batch, fold=fold, placed=placed, jobs=jobs,
                lifetimes=lifetimes, bases=bases, receive_step=step, unlimited=unlimited)


def _places(lifetimes, words):
    """Places of all buffers in so many words, and the earliest step from which on the next frame
    can come."""
    read = lifetimes.frame.spans[0][1]
    for step in range(read + 1, lifetimes.last + 2):
        bases = allocate(lifetimes.with_frame_from(step), words)
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


def _shortage(plan, network):
    """What does not fit, by how much, and where it would."""
    config = plan.config
    name = plan.excess()[0]
    needed, by_node = plan.demands[name]
    width = {"program_words": 4, "weight_words": config.columns, "coefficient_words": 9,
             "activation_words": config.channels}[name]
    most = max(range(len(by_node)), key=by_node.__getitem__)
    fitting = [other for other in CONFIGURATIONS if _fits(network, other, plan.batch)]
    if fitting:
        remedy = f"it fits {', '.join(fitting)}"
    elif needed > LARGEST_MEMORY:
        remedy = f"no configuration has more than {LARGEST_MEMORY}"
    else:
        remedy = "it fits no configuration that ships; one of your own may"
    return (f"The network needs {needed} {name} ({needed * width} bytes), {by_node[most]} "
            f"({by_node[most] * width} bytes) of them for layer "
            f"{plan.network.nodes[most].layer.name}; {config.name} has {getattr(config, name)}; "
            f"{remedy}")


def _fits(network, name, batch):
    try:
        plans, _ = _plans(network, CONFIGURATIONS[name], batch)
    except ValueError:
        return False
    return any(plan.fits() for plan in plans)
