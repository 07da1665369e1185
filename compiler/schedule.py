"""In which order instructions come, and what they wait for."""

from dataclasses import dataclass

from compiler.allocate import Buffer
from compiler.geometry import check_fields, dense_walk
from golden.concat import ConcatLayer
from hdl.isa import INSTRUCTION_WORDS, Opcode

__all__ = ["Lifetimes", "assembled", "sending", "waits"]


@dataclass(frozen=True)
class Lifetimes:
    """When the buffers of a network are live, in steps: one for each node that computes, and one
    more, the last one, to send the output.

    A buffer is live from the first step that writes to it up to the last one that reads it, that
    one included, because results are written while the operands are still being read. The step
    after may overwrite it: its results come behind all earlier reads.

    Members
    -------
    buffers : tuple of Buffer
        All but the frame's.
    frame : Buffer
        The frame's own, live from the beginning.
    last : int
        Step that sends.
    """

    buffers: tuple[Buffer, ...]
    frame: Buffer
    last: int

    @classmethod
    def of(cls, network, sizes, views):
        """Lifetimes of buffers of ``sizes`` words, tensors being parts of them as ``views`` say."""
        computing = [node for node in network.nodes if not isinstance(node.layer, ConcatLayer)]
        spans = {views[network.input].buffer: [0, 0]}
        steps = [*((node.inputs, node.output) for node in computing), ((network.output,), None)]
        for step, (inputs, output) in enumerate(steps):
            for name in (*inputs, *([output] if output else [])):
                span = spans.setdefault(views[name].buffer, [step, step])
                span[1] = step
        buffers = {name: Buffer(name, sizes[name], ((first, last),))
                   for name, (first, last) in spans.items()}
        frame = buffers.pop(views[network.input].buffer)
        return cls(tuple(buffers.values()), frame, len(computing))

    def with_frame_from(self, step):
        """All buffers, the frame's being live again from ``step`` on, when the next one comes."""
        again = ((step, self.last),) if step <= self.last else ()
        return [*self.buffers, Buffer(self.frame.name, self.frame.size,
                                      (*self.frame.spans, *again))]


def waits(reads, writes, opcodes):
    """For each instruction that computes, whether it must wait for all earlier results.

    It must if it reads what an earlier one writes that has not been waited for. The hardware waits
    by itself between instructions of different kinds.

    Parameters
    ----------
    reads : list of sets
        For each instruction, the tensors that it reads, parts included.
    writes : list
        For each, the tensor that it writes.
    opcodes : list of Opcode
    """
    flags, pending = [], set()
    for index, (inputs, output, opcode) in enumerate(zip(reads, writes, opcodes, strict=True)):
        # The first one begins when the frame before has been sent: it waits for nothing.
        wait = index == 0 or not inputs.isdisjoint(pending)
        flags.append(wait)
        if wait or opcode != opcodes[index - 1]:
            pending = set()
        pending.add(output)
    return flags


def assembled(layers, steps, frame, output, config, receive_step):
    """Return the instructions of a program.

    The next frame is let in when nothing more happens in its region. An instruction that waits for
    all earlier results has been taken by the reader when all that came before it is done: the
    RECEIVE right behind it comes neither too early nor in the way of its being read ahead.

    Parameters
    ----------
    layers : list of dict
        Fields of the instructions that compute.
    steps : list of int
        The step of each.
    frame, output : compiler.layout.Region
    config : Configuration
    receive_step : int
        First step from which on nothing but the next frame uses the frame's region; one more than
        the last if there is none.
    """
    receive = {"opcode": Opcode.RECEIVE, "base": frame.base, "pixels": frame.size - 1}
    check_fields("The input", receive, config)
    body = [*layers, sending(output, config)]
    following = {**receive, "next": 1}
    # Behind the first one from that step on that waits; SEND always does.
    place = len(body)
    for index, (fields, step) in enumerate(zip(body, [*steps, max(steps) + 1], strict=True)):
        kinds_differ = index > 0 and fields["opcode"] != body[index - 1]["opcode"]
        if step >= receive_step and (fields["wait"] or kinds_differ):
            place = index
            break
    else:
        following["wait"] = 1
    body.insert(place + 1, following)
    return (receive, *body, {"opcode": Opcode.END, "base": INSTRUCTION_WORDS})


def sending(region, config):
    """Return the fields of the SEND of a region."""
    fields = {"opcode": Opcode.SEND, "wait": 1, **dense_walk(region, config)}
    check_fields("The output", fields, config)
    return fields
