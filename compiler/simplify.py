"""Rewrites of a network that leave less to compute, and every tensor that remains as it was.

Each function takes a :class:`golden.network.Network` and returns one, which is the same object if
there was nothing to do. Input and output keep their names, types and shapes.
"""

from collections import Counter
from dataclasses import replace

import numpy as np

from golden.checks import code_limits
from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.network import Node
from golden.pool import PoolLayer

__all__ = ["compose_tables", "drop_identities", "fold_padding", "fuse_clips",
           "flatten_concatenations", "move_input_zero_points", "simplified"]


def simplified(network):
    """Apply all rewrites until none finds anything."""
    while True:
        before = network
        for rewrite in (drop_identities, compose_tables, fuse_clips, move_input_zero_points,
                        fold_padding, flatten_concatenations):
            network = rewrite(network)
        if network is before:
            return network


class _Draft:
    """The nodes of a network while they change, in order of execution.

    Members
    -------
    network : golden.network.Network
        As it was.
    nodes : dict of str to Node
        By the name of what they make.
    """

    def __init__(self, network):
        self.network, self.nodes, self._reading = network, {}, {}
        for node in network.nodes:
            self.put(node)

    def __iter__(self):
        """The nodes that are there when their turn comes."""
        for name in list(self.nodes):
            if name in self.nodes:
                yield self.nodes[name]

    def readers(self, name):
        """Nodes that read a tensor; none if it is the output, which somebody else reads too."""
        if name == self.network.output:
            return []
        return [self.nodes[output] for output in self._reading.get(name, ())]

    def put(self, node):
        """Add a node, or put it in the place of the one that made the same tensor."""
        if node.output in self.nodes:
            self._forget(self.nodes[node.output])
        self.nodes[node.output] = node
        for name in node.inputs:
            self._reading.setdefault(name, {})[node.output] = True

    def remove(self, node, others=()):
        """Leave out a node, and put others in the places of those that read it."""
        self._forget(node)
        del self.nodes[node.output]
        for other in others:
            self.put(other)

    def _forget(self, node):
        for name in set(node.inputs):
            del self._reading[name][node.output]

    def network_of(self):
        """The network of the nodes; the one from before if they are the same."""
        nodes = tuple(self.nodes.values())
        if nodes == self.network.nodes:
            return self.network
        return replace(self.network, nodes=nodes)


def drop_identities(network):
    """Leave out layers that change nothing: tables and windows of one code that are the identity,
    concatenations of one tensor."""
    draft = _Draft(network)
    for node in draft:
        if node.output != network.output and _changes_nothing(node.layer):
            draft.remove(node, [_renamed(reader, {node.output: node.inputs[0]})
                                for reader in draft.readers(node.output)])
    last = draft.nodes[network.output]
    network = draft.network_of()
    if not _changes_nothing(last.layer) or last.inputs[0] == network.input:
        return network
    # The output keeps its name, so that what made the tensor before takes it on.
    return replace(network, nodes=tuple(_renamed(node, {last.inputs[0]: network.output})
                                        for node in network.nodes if node.output != last.output))


def _changes_nothing(layer):
    if isinstance(layer, ConcatLayer):
        return layer.inputs == 1
    return _is_pointwise(layer) and _is_identity(layer)


def _renamed(node, names):
    """``node`` with other names for tensors."""
    return Node(node.layer, tuple(names.get(name, name) for name in node.inputs),
                names.get(node.output, node.output))


def compose_tables(network):
    """Let a table do what the table in front of it does, where no other layer reads between them.

    With f from codes to codes, :math:`T'[x] = T[f(x)]`. The later layer may be a sum of two maps.
    """
    draft = _Draft(network)
    for node in draft:
        readers = draft.readers(node.output)
        if _is_pointwise(node.layer) and readers and all(
                isinstance(reader.layer, ElementwiseLayer) for reader in readers):
            table = _table(node.layer)
            draft.remove(node, [_composed(reader, node, table) for reader in readers])
    return draft.network_of()


def _composed(reader, node, table):
    """``reader`` with the tables of the inputs that ``node`` makes taken through ``table``."""
    taken = [name == node.output for name in reader.inputs]
    layer = reader.layer
    # The byte of a code is where its entry is, whatever its type.
    tables = [entries[table.astype(np.int64) & 255] if through else entries
              for entries, through in zip(layer.tables, taken, strict=True)]
    unsigned = tuple(node.layer.input_types[0] is np.uint8 if through else each
                     for each, through in zip(layer.input_unsigned, taken, strict=True))
    return Node(replace(layer, tables=np.array(tables), input_unsigned=unsigned),
                tuple(node.inputs[0] if through else name
                      for name, through in zip(reader.inputs, taken, strict=True)), reader.output)


def fuse_clips(network):
    r"""Let a layer's bounds and zero point do what the only reader of its output does: clip codes,
    shift them, or change their type.

    .. math:: \operatorname{clamp}(\operatorname{clamp}(r + z, l, h) + k, l', h') =
              \operatorname{clamp}(r + (z + k), L, H)

    with L and H what becomes of l and h, as long as z + k is a code.
    """
    draft = _Draft(network)
    for node in draft:
        maker = draft.nodes.get(node.inputs[0])
        if maker is None or not _is_pointwise(node.layer) or isinstance(
                maker.layer, ConcatLayer) or draft.readers(maker.output) != [node]:
            continue
        fused = _fused(maker.layer, node.layer)
        if fused is not None:
            draft.remove(maker, [Node(fused, maker.inputs, node.output)])
    return draft.network_of()


def _fused(layer, after):
    """``layer`` with the clip and shift that ``after`` is; None if it is something else."""
    codes = np.arange(layer.low, layer.high + 1)
    made = _table(after)[codes & 255].astype(np.int64)
    low, high = int(made[0]), int(made[-1])
    shift = Counter((made - codes).tolist()).most_common(1)[0][0]
    zero_point = layer.output_zero_point + shift
    least, greatest = code_limits(after.output_type)
    if not np.array_equal(made, np.clip(codes + shift, low, high)) or not (
            least <= zero_point <= greatest):
        return None
    return replace(layer, output_zero_point=zero_point, low=low, high=high,
                   output_unsigned=after.output_type is np.uint8)


def move_input_zero_points(network):
    """Let convolutions and windows read uint8 codes where a table makes int8 ones of them by
    taking 128 away, or the other way around: only their zero point changes."""
    draft = _Draft(network)
    for node in draft:
        readers = draft.readers(node.output)
        if not _is_pointwise(node.layer) or not readers:
            continue
        codes = np.arange(256, dtype=np.uint8).view(node.layer.input_types[0]).astype(np.int64)
        shifts = np.unique(_table(node.layer).astype(np.int64) - codes)
        if len(shifts) > 1 or shifts[0] == 0:
            continue
        moved = [_moved(reader, node, int(shifts[0])) for reader in readers]
        if all(moved):
            draft.remove(node, moved)
    return draft.network_of()


def _moved(reader, node, shift):
    """``reader`` of the codes before ``shift`` was added to them; None if it has to be there."""
    layer, unsigned = reader.layer, node.layer.input_types[0] is np.uint8
    if isinstance(layer, ConvLayer):
        layer = replace(layer, input_zero_point=layer.input_zero_point - shift,
                        input_unsigned=unsigned)
    elif isinstance(layer, PoolLayer):
        taps = 1 if layer.kind == "max" else layer.kernel[0] * layer.kernel[1]
        layer = replace(layer, pad_code=layer.pad_code - shift, bias=layer.bias + taps * shift,
                        input_unsigned=unsigned)
    else:
        return None
    return Node(layer, node.inputs, reader.output)


def fold_padding(network):
    """Let convolutions and windows pad for themselves what a layer in front of them only pads.

    For a convolution the padding must hold the code of zero, for a window any code, if that is the
    one in its own padding or it has none.
    """
    draft = _Draft(network)
    for node in draft:
        readers = draft.readers(node.output)
        if not readers or not _only_pads(node.layer):
            continue
        padded = [_padded(reader, node) for reader in readers]
        if all(padded):
            draft.remove(node, padded)
    return draft.network_of()


def _only_pads(layer):
    if not isinstance(layer, PoolLayer) or not any(layer.padding):
        return False
    unpadded = replace(layer, padding=(0, 0, 0, 0))
    return _is_pointwise(unpadded) and _is_identity(unpadded)


def _padded(reader, node):
    """``reader`` with the padding of ``node`` as well as its own; None if it cannot have both."""
    layer, code = reader.layer, node.layer.pad_code
    if isinstance(layer, ConvLayer):
        if layer.input_zero_point != code:
            return None
    elif not isinstance(layer, PoolLayer) or (any(layer.padding) and layer.pad_code != code):
        return None
    padding = tuple(own + more for own, more in zip(layer.padding, node.layer.padding,
                                                    strict=True))
    codes = {"pad_code": code} if isinstance(layer, PoolLayer) else {}
    return Node(replace(layer, padding=padding, **codes), node.inputs, reader.output)


def flatten_concatenations(network):
    """Let a concatenation take the parts of another one that nobody else reads."""
    draft = _Draft(network)
    for node in draft:
        readers = draft.readers(node.output)
        if not isinstance(node.layer, ConcatLayer) or len(readers) != 1 or not isinstance(
                readers[0].layer, ConcatLayer):
            continue
        names = tuple(name for each in readers[0].inputs
                      for name in (node.inputs if each == node.output else (each,)))
        layer = replace(readers[0].layer, inputs=len(names))
        draft.remove(node, [Node(layer, names, readers[0].output)])
    return draft.network_of()


def _is_pointwise(layer):
    """Whether a layer makes each code of one other code, in the same place."""
    if isinstance(layer, PoolLayer):
        return (layer.kernel == layer.stride == (1, 1)) and not any(layer.padding)
    return isinstance(layer, ElementwiseLayer) and len(layer.tables) == 1


def _table(layer):
    """What a pointwise layer makes of every code, in the order of their bytes."""
    codes = np.arange(256, dtype=np.uint8).view(layer.input_types[0])
    return layer(codes.reshape(1, 1, 16, 16)).reshape(-1)


def _is_identity(layer):
    codes = np.arange(256, dtype=np.uint8).view(layer.input_types[0])
    return layer.output_type is layer.input_types[0] and np.array_equal(_table(layer), codes)
