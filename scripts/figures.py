"""What a program takes: multiplications and cycles of its layers, words of its memories."""

from dataclasses import dataclass

from compiler.estimate import frame_beats
from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.pool import PoolLayer
from hdl.isa import Opcode
from sim.cycles import Cycles, layer_cycles, table_cycles

__all__ = ["COMPUTING", "MEMORIES", "LayerFigures", "frame_cycles", "layer_figures", "macs_of",
           "needs", "operation", "utilisation"]


#: Instructions that make results.
COMPUTING = (Opcode.CONV, Opcode.DEPTHWISE, Opcode.VECTOR)
#: The engine's memories, as a configuration calls their sizes.
MEMORIES = ("activation_words", "weight_words", "coefficient_words", "program_words")


@dataclass(frozen=True)
class LayerFigures:
    """What a layer of a program takes.

    Members
    -------
    name : str
        Of the layer in the network, or of a copy that the program adds to it.
    op : str
        What the engine computes: see :func:`operation`.
    macs : int
        Multiplications for a frame, those with padding included.
    instructions : tuple of int
        Which of the instructions that make results compute it.
    cycles : sim.cycles.Cycles
        Of the cycle model, for a batch.
    """

    name: str
    op: str
    macs: int
    instructions: tuple[int, ...]
    cycles: Cycles

    @property
    def predicted_cycles(self):
        """All cycles, for a batch."""
        return self.cycles.total


def operation(layer):
    """Return what a layer computes, as reports call it."""
    if isinstance(layer, ConvLayer):
        return "depthwise_conv" if layer.group > 1 and layer.weight.shape[1] == 1 else "conv"
    if isinstance(layer, PoolLayer):
        if layer.kernel == (1, 1):
            return "pad" if any(layer.padding) else "requantise"
        return {"max": "max_pool", "sum": "average_pool"}[layer.kind]
    if isinstance(layer, ElementwiseLayer):
        return "add" if len(layer.tables) == 2 else "lookup"
    assert isinstance(layer, ConcatLayer)
    return "concat"


def macs_of(network):
    """Return the multiplications of a frame of every layer, by name."""
    shapes = network.shapes()
    return {node.layer.name: node.layer.macs(*((1, *shapes[name]) for name in node.inputs))
            for node in network.nodes}


def layer_figures(network, program):
    """Return the :class:`LayerFigures` of every layer of a program, in its order.

    Parameters
    ----------
    network : golden.network.Network
        As the model has it: its layers are what multiplications are counted of.
    program : compiler.program.Program or compiler.plan.Plan
    """
    macs = macs_of(network)
    computing = [fields for fields in program.instructions if fields["opcode"] in COMPUTING]
    assert len(computing) == len(program.layer_of)
    rows = []
    for index, node in enumerate(program.network.nodes):
        chosen = tuple(number for number, layer in enumerate(program.layer_of) if layer == index)
        count = macs.get(node.layer.name, 0)
        # Multiplications are counted once, of however many instructions.
        cycles = sum((layer_cycles(computing[number], program.config,
                                   count * program.batch if number == chosen[0] else 0)
                      for number in chosen), Cycles())
        rows.append(LayerFigures(node.layer.name, operation(node.layer), count, chosen, cycles))
    return rows


def frame_cycles(program):
    """Return the predicted cycles from one batch of frames to the next, while they keep coming.

    Layers and the sending of results are counted one after the other, with the tables of one layer
    after another on the vector unit; of the frames' transfer, 32 bits a cycle, what does not fit
    beside the layers that come after the RECEIVE.

    Parameters
    ----------
    program : compiler.program.Program or compiler.plan.Plan
    """
    cycles, hidden, beats, received = 0, 0, 0, False
    before = None
    for fields in program.instructions[1:]:
        taken = 0
        if fields["opcode"] in COMPUTING:
            taken = layer_cycles(fields, program.config, 0).total
            taken += table_cycles(before, fields, program.config) if before else 0
            before = fields
        elif fields["opcode"] == Opcode.SEND:
            taken = frame_beats(program.config, fields["pixels"] + 1)
        elif fields["opcode"] == Opcode.RECEIVE:
            beats, received = frame_beats(program.config, fields["pixels"] + 1), True
        cycles += taken
        hidden += taken * received
    return cycles + max(0, beats - hidden)


def needs(program):
    """Return the words that a program takes of each of :data:`MEMORIES`."""
    regions = program.regions.values()
    return {
        "activation_words": max(region.base + (region.pixels - 1) * region.step + region.words
                                for region in regions),
        "weight_words": len(program.weights),
        "coefficient_words": len(program.coefficients),
        "program_words": len(program.words()),
    }


def utilisation(macs, cycles, config):
    """Return the share of the array's multiplications that are some of the network's."""
    return macs / (cycles * config.rows * config.columns) if cycles else 0.0
