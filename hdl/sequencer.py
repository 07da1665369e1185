"""Sequencer: fetches instructions and hands them to the units that carry them out."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .blockmemory import BlockMemory
from .checks import check_range
from .fabric import counted_down, counted_up
from .isa import ADDRESS_WIDTH, FIELDS, INSTRUCTION_WORDS, Instruction, Opcode, Status

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
    instruction : :class:`hdl.isa.Instruction`, optional
        Fields as the units want them. What does not fit them stops the program.
    counter_width : :class:`int`, 1 to 32
        Bits of the number of frames.

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
        Go on with nothing, until reset. In this cycle and the next, what has been offered may
        still be taken.
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
        This is the last cycle of the program, and why (:class:`hdl.isa.Status`). It is DONE only
        if nothing has been left to do for :attr:`SETTLING` cycles.
    """

    #: Cycles in which a fault of what the units did last would have become known.
    SETTLING = 8
    #: Cycles from the last word of an instruction to what it means.
    DECODING = 2

    def __init__(self, *, depth, absent=frozenset(), family="portable", instruction=None,
                 counter_width=32):
        check_range("Depth", depth, INSTRUCTION_WORDS, 1 << ADDRESS_WIDTH)
        self.depth = depth
        self.family = family
        self.instruction = instruction or Instruction()
        self.opcodes = [opcode for opcode in (*COMPUTING, Opcode.SEND, Opcode.RECEIVE)
                        if opcode not in absent]
        super().__init__({
            "start": In(1),
            "start_address": In(ADDRESS_WIDTH),
            "start_frames": In(counter_width),
            "write_en": In(1),
            "write_address": In(ADDRESS_WIDTH),
            "write_data": In(32),
            **{unit: Out(stream.Signature(self.instruction)) for unit in UNITS},
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
        instruction = Signal(self.instruction, reset_less=True)
        frames_left, last_frame = Signal.like(self.start_frames), Signal()
        pending = Signal(len(UNITS))    # Units that have still to take the instruction.
        layers = Signal(8)              # Layers that all units have taken and not yet written.
        ending, ended, again = Signal(), Signal(), Signal()
        dispatching, finishing = Signal(), Signal()
        resting = Signal(init=1)        # The opposite of `busy`, which goes far.
        offering, all_taken, counted = Signal(), Signal(), Signal()
        fetch = self._fetch(m, instruction)
        decoded = self._decode(m, instruction, frames_left, last_frame, fetch.excess)
        self._offer(m, instruction, decoded, pending, layers, offering)

        # Nothing that these are late for can turn back before the next instruction.
        idle, written, quiet = Signal(), Signal(), Signal()
        settled = Signal(range(self.SETTLING))
        m.d.sync += [
            all_taken.eq(pending == 0),
            layers.eq(layers + counted - self.layer_done),
            idle.eq(self.idle), written.eq(layers == 0), quiet.eq(idle & written),
            settled.eq(Mux(quiet & finishing, settled + 1, 0)),
        ]

        # From fetching, of which `fetch.step` says how far it is, to one of these and back.
        decided = fetch.step[-1]
        passed = offering & all_taken & ~self.halt
        finished = (settled == self.SETTLING - 1) & ~self.halt
        halting = self.halt & (dispatching | finishing)
        busy = Mux(resting, self.start, ~self.stopped & ~halting)
        with m.If(self.start | passed | again):
            m.d.sync += [fetch.step[0].eq(1), fetch.asking.eq(1)]
        with m.If(decided):
            m.d.sync += pending.eq(decoded.units)
        m.d.sync += [
            ending.eq(decided & decoded.end), ended.eq(ending), again.eq(ending & ~last_frame),
            counted.eq(passed & decoded.layer),
            dispatching.eq(Mux(dispatching, ~passed & ~self.halt, decided & decoded.goes)),
            offering.eq(dispatching & ~passed & ~self.halt),
            finishing.eq(Mux(finishing, ~finished & ~self.halt, ending & last_frame)),
            self.stopped.eq(fetch.beyond | (decided & decoded.wrong) | finished),
            self.busy.eq(busy), resting.eq(~busy),
            self.status.eq(Mux(finishing, Status.DONE, Mux(
                fetch.beyond, Status.ILLEGAL_ADDRESS, Status.ILLEGAL_INSTRUCTION))),
        ]
        self._restart(m, fetch, instruction, frames_left, resting, ending, ended)
        return m

    def _restart(self, m, fetch, instruction, frames_left, resting, ending, ended):
        """Begin at the program's start while ``resting``, and at the address of an END while it is
        ``ending``; count its frames as it has ``ended``."""
        if self.instruction.lean:
            with m.If(resting | ending | fetch.asking):
                m.d.sync += fetch.address.eq(counted_up(
                    fetch.address, resting | ending,
                    Mux(resting, self.start_address, instruction.base)))
            with m.If(resting | ended):
                m.d.sync += frames_left.eq(counted_down(frames_left, resting, self.start_frames))
            return
        # Found out while the program is fetched.
        frames_after = Signal.like(frames_left)
        m.d.sync += frames_after.eq(frames_left - 1)
        with m.If(resting):
            m.d.sync += [fetch.address.eq(self.start_address), frames_left.eq(self.start_frames)]
        with m.If(ending):
            m.d.sync += fetch.address.eq(instruction.base)
        with m.If(ended):
            m.d.sync += frames_left.eq(frames_after)

    def _fetch(self, m, instruction):
        """Read the words of an instruction, once ``step`` is set to one: a one moves up in it."""
        m.submodules.program = program = BlockMemory(width=32, depth=self.depth,
                                                     family=self.family)
        word, latency = program.read_data, BlockMemory.LATENCY
        if not self.instruction.lean:
            # Its bits go far.
            word, latency = Signal(32, reset_less=True), latency + 1
            m.d.sync += word.eq(program.read_data)
        fetch = Signal(data.StructLayout({
            "step": INSTRUCTION_WORDS + latency + self.DECODING + 1,
            "address": ADDRESS_WIDTH + 1, "asking": 1, "beyond": 1, "excess": 1}))
        m.d.comb += [
            program.write_address.eq(self.write_address), program.read_en.eq(1),
            program.write_data.eq(self.write_data), program.write_en.eq(self.write_en),
            program.read_address.eq(fetch.address),
        ]
        m.d.sync += [fetch.step.eq(Mux(fetch.beyond, 0, fetch.step << 1)),
                     fetch.beyond.eq(fetch.asking & ~fetch.beyond
                                     & (fetch.address >= self.depth))]
        if not self.instruction.lean:
            with m.If(fetch.asking):
                m.d.sync += fetch.address.eq(fetch.address + 1)
        with m.If(fetch.step[INSTRUCTION_WORDS - 1] | fetch.beyond):
            m.d.sync += fetch.asking.eq(0)
        bits = Value.cast(instruction)
        if self.instruction.lean:
            stored = Signal(32 * INSTRUCTION_WORDS, reset_less=True)
            view = data.View(Instruction(), stored[:Instruction().size])
            m.d.comb += [instruction[name].eq(view[name]) for name in instruction.shape().members]
            bits = stored
            m.d.sync += fetch.excess.eq(self._excess(fetch, program.read_data))
        for index in range(INSTRUCTION_WORDS):
            with m.If(fetch.step[index + latency]):
                m.d.sync += bits[32 * index:32 * index + 32].eq(word)
        return fetch

    def _excess(self, fetch, read):
        """Return whether any word so far has a bit set beyond a unit's field.

        A base address may also be below zero, its topmost bits being all alike; it does not go
        over the end of a word.
        """
        refused, start = [[] for _ in range(INSTRUCTION_WORDS)], 0
        for field in FIELDS:
            width = self.instruction.widths.get(field.name, field.width)
            for bit in range(start + width, start + field.width):
                below = read[bit % 32 - 1] if field.name == "base" else 0
                refused[bit // 32].append(read[bit % 32] ^ below)
            start += field.width
        here = [fetch.step[word + BlockMemory.LATENCY] & Cat(bits).any()
                for word, bits in enumerate(refused) if bits]
        return (fetch.excess & ~fetch.step[0]) | Cat(here).any()

    def _decode(self, m, instruction, frames_left, last_frame, excess):
        """Return what is to be done, known :attr:`DECODING` cycles after the last word."""
        opcode = instruction.opcode
        first = Signal(data.StructLayout({"known": 1, "end": 1, "layer": 1, "receives": 1,
                                          "other": 1, "taps": 1, "blocks": 1, "units": len(UNITS)}))
        decoded = Signal(data.StructLayout({"wrong": 1, "end": 1, "goes": 1, "layer": 1,
                                            "needs": 1, "units": len(UNITS)}))
        computing = [opcode for opcode in COMPUTING if opcode in self.opcodes]
        unit = Signal.like(opcode)      # Which computes the layer before.
        with m.If(self.reader.valid & self.reader.ready & decoded.layer):
            m.d.sync += unit.eq(opcode)
        sends, slides = opcode == Opcode.SEND, opcode == Opcode.DEPTHWISE
        some = Signal(4)
        # Their fields are complete long before the last word.
        steps, blocks = Signal(), Signal()
        m.d.sync += [
            steps.eq(instruction.last_step != 0), blocks.eq(instruction.blocks != 0),
            *(some[part].eq(frames_left[8 * part:8 * part + 8][part == 0:].any())
              for part in range(len(frames_left) // 8)),
            last_frame.eq(~some.any()),
            first.known.eq(opcode.matches(Opcode.END.value, *(o.value for o in self.opcodes))),
            first.end.eq(opcode == Opcode.END),
            first.layer.eq(opcode.matches(*(o.value for o in computing))),
            first.receives.eq(opcode == Opcode.RECEIVE),
            # One unit needs nobody else's results.
            first.other.eq((opcode != unit) & (len(computing) > 1)),
            # The sender knows nothing of taps and blocks, the window unit nothing of taps.
            first.taps.eq((sends | slides) & steps),
            first.blocks.eq(sends & blocks),
            first.units.eq(Cat(opcode.matches(*(o.value for o in opcodes if o in self.opcodes))
                               for opcodes in UNITS.values())),
        ]
        unwanted = first.receives & instruction.next & last_frame
        wrong = ~first.known | first.taps | first.blocks | excess
        m.d.sync += [
            decoded.wrong.eq(wrong), decoded.goes.eq(~wrong & ~first.end),
            decoded.end.eq(first.end), decoded.layer.eq(first.layer),
            decoded.needs.eq(instruction.wait | (first.layer & first.other)),
            decoded.units.eq(Mux(unwanted | wrong, 0, first.units)),
        ]
        return decoded

    def _offer(self, m, instruction, decoded, pending, layers, offering):
        """Offer the instruction to the units that have not taken it."""
        # What is missing in the cycle before; it comes once, and then stays. A frame overwrites
        # what may still be read for the output. Words on their way out would hold up the first
        # ones of a layer.
        missing = {name: Signal(name=f"missing_{name}") for name in (
            "results", "frame", "sent", "read", *_LOADING)}
        m.d.sync += [
            missing["results"].eq(decoded.needs & (layers != 0)),
            missing["frame"].eq(instruction.wait_input & ~self.frame_ready),
            missing["sent"].eq(decoded.layer & ~self.all_sent),
            missing["read"].eq(instruction.wait & ~self.all_read),
            *(missing[name].eq((instruction.opcode == opcode) & (
                pending[list(UNITS).index(name)] | ~getattr(self, f"{name}_loaded")))
              for name, opcode in _LOADING.items()),
        ]
        gates = {"reader": ("results", "frame", "sent", *_LOADING),
                 "receiver": ("results", "read")}
        for index, name in enumerate(UNITS):
            port = getattr(self, name)
            closed = Cat(missing[what] for what in gates.get(name, ())).any()
            taken = port.valid & port.ready
            m.d.comb += port.payload.eq(instruction)
            m.d.sync += port.valid.eq(pending[index] & offering & ~closed & ~taken)
            with m.If(taken):
                m.d.sync += pending[index].eq(0)
        m.d.comb += self.frame_taken.eq(
            self.reader.valid & self.reader.ready & instruction.wait_input)
