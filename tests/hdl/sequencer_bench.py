"""Runs programs on a sequencer in the Amaranth simulator, among units that watch what it does."""

import random
from collections import deque
from dataclasses import dataclass, field

from amaranth.hdl import ResetInserter, Signal, Value

from hdl.isa import INSTRUCTION_WORDS, Instruction, Opcode, Status, assemble
from hdl.sequencer import Sequencer
from tests.hdl.bench import simulate

__all__ = ["CONCERNS", "LAYERS", "Run", "path", "run"]

#: Which units an instruction concerns.
CONCERNS = {
    Opcode.CONV: {"reader", "tiles", "weights", "coefficients", "writer"},
    Opcode.DEPTHWISE: {"reader", "weights", "window", "coefficients", "writer"},
    Opcode.VECTOR: {"reader", "vector", "coefficients", "writer"},
    Opcode.SEND: {"reader", "sender"},
    Opcode.RECEIVE: {"receiver"},
}
LAYERS = (Opcode.CONV, Opcode.DEPTHWISE, Opcode.VECTOR)
NAMES = sorted(set().union(*CONCERNS.values()))


def path(program, frames):
    """Instructions that units get when ``program`` works on so many frames, in order.

    It begins at its first instruction; an END goes on with the instruction of number ``base``.
    """
    position = 0
    while frames:
        fields = program[position]
        position += 1
        if fields["opcode"] == Opcode.END:
            frames -= 1
            position = fields["base"]
        elif frames > 1 or not fields.get("next"):
            yield fields


@dataclass
class Run:
    """What happened.

    ``taken`` is (cycle, unit, number) for each instruction that a unit took, ``number`` being its
    place on the path; ``stopped`` is (cycle, status) of each stop; ``busy`` is of each cycle.
    """

    taken: list = field(default_factory=list)
    stopped: list = field(default_factory=list)
    busy: list = field(default_factory=list)

    def when(self, unit, number):
        """The cycle in which ``unit`` took an instruction, or None."""
        return next((cycle for cycle, *what in self.taken if what == [unit, number]), None)


class World:
    """The units: each takes instructions after a while. Checks all that is promised to them."""

    def __init__(self, dut, expected, *, seed, pace, withheld=()):
        self.dut = dut
        self.expected = expected
        self.source = random.Random(seed)
        self.pace = pace
        self.withheld = withheld
        self.result = Run()
        self.number = 0             # Of the instruction that is being taken.
        self.takers = set()
        self.outstanding = deque()  # Layers that all units have taken and that are not written.
        self.quiet = 0              # Cycles since there was something to do.
        self.layer = None           # Opcode of the last one that the reader took.
        self.inputs = dict.fromkeys(("all_read", "all_sent", "frame_ready", "window_loaded",
                                     "vector_loaded", "layer_done", "idle"), 0)

    async def live(self, ctx, cycles, halt):
        """For so many cycles, or until 20 cycles after the program has stopped; from cycle
        ``halt`` on, the sequencer is told to halt."""
        dut, result = self.dut, self.result
        ports = [getattr(dut, name) for name in NAMES]
        outputs = [dut.frame_taken, dut.stopped, dut.status, dut.busy,
                   *(value for port in ports
                     for value in (port.valid, port.ready, Value.cast(port.payload)))]
        halted = False
        while len(result.busy) < cycles and (
                not result.stopped or len(result.busy) < result.stopped[0][0] + 20):
            for name, value in self.inputs.items():
                ctx.set(getattr(dut, name), value)
            halted |= halt is not None and len(result.busy) >= halt
            ctx.set(dut.halt, halted)
            for name, port in zip(NAMES, ports, strict=True):
                ctx.set(port.ready, name not in self.withheld and self._now())
            _, _, frame_taken, stopped, status, busy, *units = await ctx.tick().sample(*outputs)
            result.busy.append(busy)
            taken = [(name, payload) for name, valid, asked, payload
                     in zip(NAMES, units[0::3], units[1::3], units[2::3], strict=True)
                     if valid and asked]
            self._check_frame(frame_taken, taken)
            took = self.takers.copy()
            for name, payload in taken:
                self._take(name, payload, took)
            if stopped and status == Status.DONE:
                assert self.quiet >= Sequencer.SETTLING, "done before all faults are known"
            self.quiet = self.quiet + 1 if self.inputs["idle"] and not self.outstanding else 0
            if stopped:
                result.stopped.append((len(result.busy) - 1, Status(status)))
                halted |= status > Status.DONE
            self._go_on()

    def _now(self):
        return self.source.random() < self.pace

    def _check_frame(self, frame_taken, taken):
        fields = self.expected[self.number] if self.number < len(self.expected) else {}
        assert frame_taken == (bool(fields.get("wait_input"))
                               and "reader" in [name for name, _ in taken])
        if frame_taken:
            assert self.inputs["frame_ready"], "a frame is taken that is not there"
            self.inputs["frame_ready"] = 0

    def _take(self, name, payload, took):
        """Check that unit ``name`` may take its instruction now, ``took`` having taken it."""
        assert self.number < len(self.expected), "an instruction too many"
        fields = self.expected[self.number]
        opcode = fields["opcode"]
        assert payload == Instruction().const(fields).as_bits(), f"not for {name}, or not yet"
        assert name in CONCERNS[opcode] - self.takers
        waits = fields.get("wait")
        if name == "reader" and opcode in LAYERS:
            assert self.inputs["all_sent"]
            waits = waits or opcode != self.layer
            self.layer = opcode
            for unit, needs in (("window", Opcode.DEPTHWISE), ("vector", Opcode.VECTOR)):
                if opcode == needs:
                    assert unit in took
                    assert self.inputs[f"{unit}_loaded"]
        if name in ("reader", "receiver"):
            assert not (waits and self.outstanding), "earlier results are not written"
        if name == "receiver" and waits:
            assert self.inputs["all_read"]
        if name in ("window", "vector"):
            self.inputs[f"{name}_loaded"] = 0
        if name == "sender":
            self.inputs["all_sent"] = 0
        if name == "reader":
            self.inputs["all_read"] = 0
        self.inputs["idle"] = 0
        self.takers.add(name)
        self.result.taken.append((len(self.result.busy) - 1, name, self.number))

    def _go_on(self):
        """Change inputs for the next cycle."""
        inputs = self.inputs
        if inputs["layer_done"]:
            self.outstanding.popleft()
        inputs["layer_done"] = int("layer_done" not in self.withheld and bool(self.outstanding)
                                   and self._now())
        if self.number < len(self.expected):
            opcode = self.expected[self.number]["opcode"]
            if self.takers == CONCERNS[opcode]:
                self.number += 1
                self.takers = set()
                if opcode in LAYERS:
                    self.outstanding.append(opcode)
        for name in inputs.keys() - {"layer_done", *self.withheld}:
            inputs[name] |= self._now()


def run(program, *, frames=1, address=0, depth=256, seed=0, pace=1, withheld=(), cycles=10_000,
        expected=None, absent=frozenset(), cut_off=0, halt=None):
    """Run ``program`` and return a :class:`Run`.

    Parameters
    ----------
    program : list of dict
        Fields of the instructions; the ``base`` of an END is the number of an instruction.
    address : int
        Where the program lies.
    pace : float
        How likely a unit is ready in a cycle, and something that is awaited comes.
    withheld : collection of str
        Units and inputs that stay low.
    expected : list of dict, optional
        Instructions that units are to get, by default those of :func:`path`.
    cut_off : int
        Cycles that the program runs before a reset, if not zero.
    halt : int, optional
        Cycle from which on the sequencer is to halt.
    """
    dut, reset = Sequencer(depth=depth, absent=absent), Signal()
    if expected is None:
        expected = list(path(program, frames))
    world = World(dut, expected, seed=seed, pace=pace, withheld=withheld)

    async def bench(ctx):
        ctx.set(dut.write_en, 1)
        for index, fields in enumerate(program):
            placed = dict(fields)
            if fields["opcode"] == Opcode.END:
                placed["base"] = address + fields["base"] * INSTRUCTION_WORDS
            for offset, word in enumerate(assemble(**placed)):
                ctx.set(dut.write_address, address + index * INSTRUCTION_WORDS + offset)
                ctx.set(dut.write_data, word)
                await ctx.tick()
        ctx.set(dut.write_en, 0)
        assert not ctx.get(dut.busy)
        await _start(ctx)
        if cut_off:
            for name in NAMES:
                ctx.set(getattr(dut, name).ready, 1)
            await ctx.tick().repeat(cut_off)
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(dut.busy)
            await _start(ctx)
        await world.live(ctx, cycles, halt)

    async def _start(ctx):
        ctx.set(dut.start_address, address)
        ctx.set(dut.start_frames, frames)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.start_address, 0)
        ctx.set(dut.start_frames, 0)

    simulate(ResetInserter(reset)(dut), bench, cycles=50_000)
    return world.result
