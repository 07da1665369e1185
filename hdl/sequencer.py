"""Sequencer: fetches instructions and hands them to the units that carry them out."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import BlockMemory
from .checks import check_range
from .isa import ADDRESS_WIDTH, INSTRUCTION_WORDS, Instruction, Opcode, Status

__all__ = ["COMPUTING", "UNITS", "Sequencer"]


#: Opcodes whose instructions leave results in activation memory: layers.
COMPUTING = (Opcode.CONV, Opcode.DEPTHWISE, Opcode.VECTOR)


#: The units, and the opcodes that concern each.
UNITS = {
    "reader": (*COMPUTING, Opcode.SEND),
    "tiles": (Opcode.CONV,),
    "weights": (Opcode.CONV, Opcode.DEPTHWISE),
    "window": (Opcode.DEPTHWISE,),
    "vector": (Opcode.VECTOR,),
    "coefficients": COMPUTING,
    "writer": COMPUTING,
    "sender": (Opcode.SEND,),
    "receiver": (Opcode.RECEIVE,),
}


#: Units that load something for each layer, and the opcode that concerns them.
_LOADING = {"window": Opcode.DEPTHWISE, "vector": Opcode.VECTOR}


class Sequencer(wiring.Component):
    """Runs a program, one instruction after the other.

    An instruction is offered to all the units that it concerns, and each takes it when it has
    finished the one before; the next instruction is fetched when all have taken it. So weights
    and coefficients of a layer are read ahead while the layer before still computes. Only who
    touches activation memory may have to wait for earlier results: as the instruction says, and
    if the layer before is computed by another unit, since their results meet in the lanes. What
    the window and the vector unit have to load for a layer is there before its words are read.

    Parameters
    ----------
    depth : :class:`int`, 16 to 65536
        32-bit words of program memory.
    absent : set of :class:`hdl.isa.Opcode`
        Opcodes that this engine has no unit for.
    family : :class:`str`
        One of :data:`hdl.vendor.FAMILIES`.

    Members
    -------
    start, start_address, start_frames : ``In``
        Run the program at that address for so many frames; only while not ``busy``.
    write_en, write_address, write_data : ``In``
        Port that fills the program memory.
    UNIT : ``Out(stream.Signature(Instruction()))``, for each of :data:`UNITS`
        Instructions for the unit.
    window_loaded, vector_loaded : ``In(1)``
        The unit has loaded what it needs for the layer that it took last.
    layer_done : ``In(1)``
        All results of a layer are written.
    halt : ``In(1)``
        Go on with nothing, until reset.
    all_read : ``In(1)``
        All activation words that were wanted have been asked for.
    all_sent : ``In(1)``
        No word of a SEND is still to leave.
    idle : ``In(1)``
        No unit has anything left to do.
    frame_ready : ``In(1)``
        A received frame is complete and not yet in use.
    frame_taken : ``Out(1)``
        It comes into use.
    busy : ``Out(1)``
        A program runs.
    stopped, status : ``Out``
        The program stops in this cycle, and why (:class:`hdl.isa.Status`).
    """

    def __init__(self, *, depth, absent=frozenset(), family="portable"):
        check_range("Depth", depth, INSTRUCTION_WORDS, 1 << ADDRESS_WIDTH)
        self.depth = depth
        self.family = family
        self.opcodes = [opcode for opcode in (*COMPUTING, Opcode.SEND, Opcode.RECEIVE)
                        if opcode not in absent]
        super().__init__({
            "start": In(1),
            "start_address": In(ADDRESS_WIDTH),
            "start_frames": In(32),
            "write_en": In(1),
            "write_address": In(ADDRESS_WIDTH),
            "write_data": In(32),
            **{unit: Out(stream.Signature(Instruction())) for unit in UNITS},
            **{f"{unit}_loaded": In(1) for unit in _LOADING},
            "layer_done": In(1),
            "halt": In(1),
            "all_read": In(1),
            "all_sent": In(1),
            "idle": In(1),
            "frame_ready": In(1),
            "frame_taken": Out(1),
            "busy": Out(1),
            "stopped": Out(1),
            "status": Out(4),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.program = program = BlockMemory(width=32, depth=self.depth,
                                                     family=self.family)
        address = Signal(ADDRESS_WIDTH + 1)
        m.d.comb += [
            program.write_address.eq(self.write_address), program.read_en.eq(1),
            program.write_data.eq(self.write_data), program.write_en.eq(self.write_en),
            program.read_address.eq(address),
        ]

        frames_left = Signal(32)
        last_word = INSTRUCTION_WORDS + BlockMemory.LATENCY - 1
        word = Signal(range(last_word + 1))
        bits = Signal(32 * INSTRUCTION_WORDS, reset_less=True)
        instruction = Signal(Instruction())
        pending = Signal(len(UNITS))    # Units that have still to take the instruction.
        layers = Signal(8)              # Layers that all units have taken and not yet written.
        m.d.comb += Value.cast(instruction).eq(bits)
        counted = Signal()
        m.d.sync += layers.eq(layers + counted - self.layer_done)
        self._offer(m, instruction, pending, layers)

        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE") & ~fsm.ongoing("HALT"))
            with m.State("IDLE"):
                m.d.sync += [address.eq(self.start_address), frames_left.eq(self.start_frames)]
                with m.If(self.start):
                    m.next = "FETCH"
            with m.State("HALT"):
                pass
            with m.State("FETCH"):
                # What the memory gave before the first word has left the register when the last
                # one enters it.
                m.d.sync += [bits.eq(Cat(bits[32:], program.read_data)), word.eq(word + 1)]
                with m.If(word < INSTRUCTION_WORDS):
                    m.d.sync += address.eq(address + 1)
                with m.If(word == last_word):
                    m.d.sync += word.eq(0)
                    m.next = "DECODE"
                with m.Elif((address >= self.depth) & (word < INSTRUCTION_WORDS)):
                    m.d.sync += word.eq(0)
                    self._stop(m, Status.ILLEGAL_ADDRESS)
            with m.State("DECODE"):
                self._decode(m, instruction, pending, frames_left, address)
            with m.State("DISPATCH"):
                with m.If(self.halt):
                    m.next = "HALT"
                with m.Elif(pending == 0):
                    m.d.comb += counted.eq(_is_layer(instruction))
                    m.next = "FETCH"
            with m.State("FINISH"):
                with m.If(self.halt):
                    m.next = "HALT"
                with m.Elif(self.idle & (layers == 0)):
                    self._stop(m, Status.DONE)
        return m

    def _stop(self, m, status):
        m.d.comb += [self.stopped.eq(1), self.status.eq(status)]
        m.next = "IDLE"

    def _decode(self, m, instruction, pending, frames_left, address):
        """Find the units that the instruction concerns, or carry it out."""
        m.next = "DISPATCH"
        with m.Switch(instruction.opcode):
            for opcode in self.opcodes:
                with m.Case(opcode):
                    m.d.sync += pending.eq(
                        Cat(opcode in opcodes for opcodes in UNITS.values()))
            with m.Case(Opcode.END):
                m.d.sync += [frames_left.eq(frames_left - 1),
                             address.eq(instruction.base)]
                with m.If(frames_left <= 1):
                    m.next = "FINISH"
            with m.Default():
                self._stop(m, Status.ILLEGAL_INSTRUCTION)
        # The sender knows nothing of taps and blocks, the window unit nothing of taps.
        sends = instruction.opcode == Opcode.SEND
        slides = instruction.opcode == Opcode.DEPTHWISE
        with m.If(((sends | slides) & (instruction.last_step != 0))
                  | (sends & (instruction.blocks != 0))):
            self._stop(m, Status.ILLEGAL_INSTRUCTION)
        with m.If((instruction.opcode == Opcode.RECEIVE) & instruction.next
                  & (frames_left <= 1)):
            m.d.sync += pending.eq(0)

    def _offer(self, m, instruction, pending, layers):
        """Offer the instruction to the units that have not taken it."""
        unit = Signal.like(instruction.opcode)  # Which computes the layer before.
        with m.If(self.reader.valid & self.reader.ready & _is_layer(instruction)):
            m.d.sync += unit.eq(instruction.opcode)
        other = _is_layer(instruction) & (instruction.opcode != unit)
        written = ~(instruction.wait | other) | (layers == 0)
        arrived = ~instruction.wait_input | self.frame_ready
        # What a frame overwrites may still be read for the output.
        # Words on their way out would hold up the first ones of a layer.
        free = ~_is_layer(instruction) | self.all_sent
        for index, name in enumerate(UNITS):
            if name in _LOADING:
                missing = pending[index] | ~getattr(self, f"{name}_loaded")
                free &= (instruction.opcode != _LOADING[name]) | ~missing
        gates = {"reader": written & arrived & free,
                 "receiver": written & (~instruction.wait | self.all_read)}
        for index, name in enumerate(UNITS):
            port = getattr(self, name)
            m.d.comb += [
                port.payload.eq(instruction),
                port.valid.eq(pending[index] & gates.get(name, 1) & ~self.halt),
            ]
            with m.If(port.valid & port.ready):
                m.d.sync += pending[index].eq(0)
        m.d.comb += self.frame_taken.eq(
            self.reader.valid & self.reader.ready & instruction.wait_input)


def _is_layer(instruction):
    return instruction.opcode.matches(*(opcode.value for opcode in COMPUTING))
