"""Which of the ways to compute a network is taken, and what is said if none will do."""

import sys
from collections.abc import Callable

from compiler.bands import cuts_of
from compiler.fold import folds_of
from compiler.lower_conv import conv_jobs
from compiler.lower_depthwise import DepthwiseJob, suits_window
from compiler.lower_vector import VectorJob
from compiler.placement import on_the_array, place, pruned, reordered
from compiler.plan import Plan, places
from compiler.schedule import Lifetimes
from golden.concat import ConcatLayer
from golden.layer import ConvLayer
from golden.network import Network
from hdl.config import CONFIGURATIONS
from hdl.isa import ADDRESS_WIDTH, INSTRUCTION_WORDS, Opcode

__all__ = ["ShortageError", "plan_network"]


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
        :class:`ShortageError`), or an instruction cannot hold what a layer needs, or a lean engine
        is to compute several frames together.
    """
    if batch > 1 and config.lean:
        able = ", ".join(name for name, other in CONFIGURATIONS.items() if not other.lean)
        raise ValueError(f"A lean engine computes one frame at a time, and {config.name} is one, "
                         f"so batches of {batch} are for another: {able}")
    network = pruned(network)
    least = _least_program(network)
    if least > LARGEST_MEMORY:
        # Planning it would take minutes.
        raise ValueError(f"The network has so many layers that its program needs {least} words or "
                         f"more; no configuration has more than {LARGEST_MEMORY}")
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
                plans.append(_plan(ordered if fold is None else fold.apply(ordered), fold, config,
                                   batch, unlimited).checked())
            except ValueError as reason:
                error = reason
        # Another order may take less activation memory, but no less of the others.
        if any(plan.bases is not None for plan in plans):
            break
    if not unlimited and not any(plan.fits() for plan in plans):
        whole, plans = plans, []
        for plan in whole:
            try:
                plans.append((plan if plan.bases else plan.in_bands()).checked())
            except ValueError as reason:
                error = reason
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
    bases, step = places(lifetimes, sys.maxsize if unlimited else config.activation_words)
    return Plan(config=config, batch=batch, fold=fold, placed=placed, jobs=jobs,
                lifetimes=lifetimes, cuts=cuts_of(placed, batch), bases=bases, receive_step=step,
                unlimited=unlimited)


def _shortage(plan, network):
    """What does not fit, by how much, and where it would."""
    config = plan.config
    name = plan.excess()[0]
    needed, by_node = plan.demands[name]
    width = {"program_words": 4, "weight_words": config.columns, "coefficient_words": 9,
             "activation_words": config.channels}[name]
    most = max(range(len(by_node)), key=by_node.__getitem__)
    has = getattr(config, name)
    fitting = [other for other in CONFIGURATIONS if _fits(network, other, plan.batch)]
    if fitting:
        remedy = f"it fits {', '.join(fitting)}"
    elif needed > LARGEST_MEMORY:
        remedy = f"no configuration has more than {LARGEST_MEMORY}"
    else:
        remedy = "it fits no configuration that ships; one of your own may"
    return (f"The network needs {needed} {name} ({needed * width} bytes), {by_node[most]} "
            f"({by_node[most] * width} bytes) of them for layer "
            f"{plan.network.nodes[most].layer.name}; {config.name} has {has} "
            f"({has * width} bytes); {remedy}")


def _least_program(network):
    """Words of program that a network takes at least: an instruction for every layer, one to
    receive and one to send."""
    layers = sum(not isinstance(node.layer, ConcatLayer) for node in network.nodes)
    return (layers + 2) * INSTRUCTION_WORDS


def _fits(network, name, batch):
    config = CONFIGURATIONS[name]
    if (batch > 1 and config.lean) or _least_program(network) > config.program_words:
        return False
    try:
        plans, _ = _plans(network, config, batch)
    except ValueError:
        return False
    return any(plan.fits() for plan in plans)
