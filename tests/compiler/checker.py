"""Follows a program word by word, and sees that nothing is read but what belongs there.

It knows instructions by their fields alone and shares no code with the allocation: whatever lies
in a word is known by the tensor that was written there, and by the batch that it belongs to.
"""

import numpy as np

from golden.concat import ConcatLayer
from hdl.isa import Opcode, assemble, disassemble
from sim.machine import read_addresses

__all__ = ["check_memory"]

COMPUTING = (Opcode.CONV, Opcode.DEPTHWISE, Opcode.VECTOR)


class _Memory:
    """Who wrote each activation word, and which may not have been written yet."""

    def __init__(self, program):
        self.program = program
        self.numbers = {}
        self.owner = np.full(program.config.activation_words, -1)
        self.pending = np.zeros(len(self.owner), bool)
        self.parts = {node.output: node.inputs for node in program.network.nodes
                      if isinstance(node.layer, ConcatLayer)}

    def belonging(self, name, batch):
        """Numbers of what may lie in the words of a tensor."""
        if name in self.parts:
            return {number for part in self.parts[name] for number in self.belonging(part, batch)}
        return {self.numbers.setdefault((name, batch), len(self.numbers))}

    def put(self, addresses, name, batch):
        """A tensor is written."""
        assert addresses.max() < len(self.owner)
        self.owner[addresses], = self.belonging(name, batch)

    def receive(self, fields, batch):
        self.put(fields["base"] + np.arange(fields["pixels"] + 1), self.program.network.input,
                 batch)

    def read(self, fields, names, batch):
        """Check all reads; return the addresses."""
        allowed = set().union(*(self.belonging(name, batch) for name in names))
        found = []
        for block in range(fields["blocks"] + 1):
            addresses, inside = read_addresses(fields, block)
            found.append(addresses[inside])
        reads = np.unique(np.concatenate(found))
        assert set(self.owner[reads].tolist()) <= allowed, fields
        assert not self.pending[reads].any(), fields
        return reads

    def write(self, fields, name, batch, reads):
        """Take note of all results, which must not be in the way of the reads."""
        config = self.program.config
        window = fields["opcode"] == Opcode.DEPTHWISE
        pixels = (fields["out_pixels"] if window else fields["pixels"]) + 1
        words = np.arange(fields["out_groups"] // (config.channels // config.lanes) + 1)
        addresses = fields["out_base"] + np.arange(pixels)[:, None] * fields["out_step"] + words
        if np.isin(addresses, reads).any():
            self._in_place(fields, addresses)
        self.put(addresses, name, batch)
        self.pending[addresses] = True

    def _in_place(self, fields, addresses):
        """Each word may be overwritten by what was made of it, if nothing else is."""
        assert fields["opcode"] == Opcode.VECTOR
        assert len(np.unique(addresses)) == addresses.size
        for block in range(fields["blocks"] + 1):
            taps, inside = read_addresses(fields, block)
            assert inside.all()
            results = addresses[:, block]
            for tap in taps.T:
                assert (tap == results).all() or not np.isin(tap, addresses).any(), fields


def check_memory(program, batches=3):
    """Check every read of some batches; ``AssertionError`` if one finds what is not its own, or
    what an earlier instruction may not have written yet.

    What comes beside the instructions, the next frame, comes as early as it may.
    """
    memory = _Memory(program)
    instructions = [disassemble(assemble(**fields)) for fields in program.instructions]
    first, *body = instructions[:-1]
    end = instructions[-1]
    assert (first["opcode"], end["opcode"], end["base"]) == (Opcode.RECEIVE, Opcode.END, 16)
    assert not first["wait"]
    memory.receive(first, 0)
    for batch in range(batches):
        nodes = iter(program.layer_of)
        for fields in _early(body):
            if fields["opcode"] == Opcode.RECEIVE:
                assert fields["next"]
                memory.receive(fields, batch + 1)
                continue
            if fields["waits"]:
                memory.pending[:] = False
            if fields["opcode"] == Opcode.SEND:
                memory.read(fields, [program.network.output], batch)
                continue
            node = program.network.nodes[next(nodes)]
            reads = memory.read(fields, node.inputs, batch)
            memory.write(fields, node.output, batch, reads)
        assert next(nodes, None) is None
        assert [fields["wait_input"] for fields in body if fields["opcode"] in COMPUTING] == [
            1, *[0] * (len(program.layer_of) - 1)]


def _early(body):
    """The instructions with a RECEIVE that does not wait in front of those that may still be under
    way: the last one that waited for what came before, and all behind it."""
    ordered, before = [], None
    for fields in body:
        if fields["opcode"] == Opcode.RECEIVE:
            place = len(ordered)
            while not fields["wait"]:
                place -= 1
                if ordered[place]["waits"]:
                    break
            ordered.insert(place, fields)
            continue
        other = fields["opcode"] in COMPUTING and before is not None and fields["opcode"] != before
        ordered.append({**fields, "waits": bool(fields["wait"]) or other})
        if fields["opcode"] in COMPUTING:
            before = fields["opcode"]
    return ordered
