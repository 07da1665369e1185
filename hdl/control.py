"""Control: the engine's registers, with their counters and interrupts."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import Configuration
from .engine import Engine
from .isa import ADDRESS_WIDTH, Status
from .registerbank import RegisterBank, RegisterBus
from .registers import IDENTITY, REGISTERS, VERSION

__all__ = ["EngineControl"]


class EngineControl(wiring.Component):
    """What :data:`hdl.registers.REGISTERS` says, between a register bus and an engine.

    The counters begin at zero whenever ``busy`` rises, and keep their values when it falls. In a
    lean configuration those of layers and frames have 16 bits, and that of cycles has 32; they
    wrap.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`

    Members
    -------
    bus : ``In(RegisterBus())``
    start, start_address, start_frames : ``Out``
        As of :class:`hdl.engine.Engine`.
    refused : ``In(1)``
        The engine does not grant the start of :attr:`hdl.engine.Engine.ANSWERING` cycles ago.
    reset : ``Out(1)``
        Soft reset.
    discard : ``Out(1)``
        Input packets are to be dropped.
    busy, loading, closing : ``In(1)``
        As the register STATUS has them.
    status : ``In(4)``
        Why the engine stopped (:class:`hdl.isa.Status`).
    layer_done, frame_done : ``In(1)``
        A layer's results are written; an output packet's last beat is taken.
    cycles : ``Out(64)``
        Cycles for which the present or last program has run, counted a cycle late, and bits 32 to
        63 a cycle later than the rest.
    irq : ``Out(1)``
        An enabled interrupt is pending.
    """

    def __init__(self, config):
        if not isinstance(config, Configuration):
            raise TypeError(f"Configuration must be a Configuration, not {config!r}")
        self.config = config
        super().__init__({
            "bus": In(RegisterBus()),
            "start": Out(1),
            "start_address": Out(ADDRESS_WIDTH),
            "start_frames": Out(32),
            "refused": In(1),
            "reset": Out(1),
            "discard": Out(1),
            "busy": In(1),
            "loading": In(1),
            "closing": In(1),
            "status": In(4),
            "layer_done": In(1),
            "frame_done": In(1),
            "cycles": Out(64),
            "irq": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.bank = bank = RegisterBank(
            REGISTERS, **({"together": len(REGISTERS)} if self.config.lean else {}))
        wiring.connect(m, wiring.flipped(self.bus), bank.bus)
        self._constants(m, bank)
        m.d.comb += [
            # A reset in the same write comes first, and a start has to wait until it is over.
            self.start.eq(bank.control_start & ~bank.control_reset),
            self.start_address.eq(bank.start_address_address),
            self.start_frames.eq(bank.start_frames_frames),
            self.reset.eq(bank.control_reset),
            self.discard.eq(bank.control_discard),
            bank.status_loading.eq(self.loading),
            bank.status_closing.eq(self.closing),
        ]

        # What the engine tells comes from far, and is looked at in the next cycle.
        running, began, layer_done, frame_done = (Signal(name=name) for name in (
            "running", "began", "layer_done1", "frame_done1"))
        status, status_before = Signal.like(self.status), Signal.like(self.status)
        asked = Signal(Engine.ANSWERING)
        m.d.sync += [
            running.eq(self.busy), began.eq(self.busy & ~running),
            layer_done.eq(self.layer_done), frame_done.eq(self.frame_done),
            status.eq(self.status), status_before.eq(status),
            asked.eq(Cat(bank.control_start, asked)),
        ]
        m.d.comb += [
            # No gap in which a program that is about to run seems to be over.
            bank.status_busy.eq(running | bank.control_start | asked.any()),
            bank.status_code.eq(status),
        ]
        self._counters(m, bank, running, began, layer_done, frame_done)
        with m.If((bank.control_start & bank.control_reset) | self.refused):
            m.d.sync += bank.status_refused.eq(1)
        with m.Elif(began | bank.control_reset):
            m.d.sync += bank.status_refused.eq(0)

        # A fault can follow the end of a program without another in between.
        m.d.sync += self.irq.eq(
            (bank.interrupt_pending_stopped & bank.interrupt_enable_stopped)
            | (bank.interrupt_pending_frame & bank.interrupt_enable_frame))
        m.d.comb += [
            bank.interrupt_pending_stopped_set.eq(
                (status != status_before) & (status != Status.NONE)),
            bank.interrupt_pending_frame_set.eq(frame_done),
        ]
        return m

    def _constants(self, m, bank):
        config = self.config
        major, minor, patch = VERSION
        for name, value in {
            "id_id": IDENTITY,
            "version_major": major, "version_minor": minor, "version_patch": patch,
            "array_rows": config.rows, "array_columns": config.columns,
            "array_lanes": config.lanes, "array_channels": config.channels,
            "activation_memory_words": config.activation_words,
            "weight_memory_words": config.weight_words,
            "coefficient_memory_words": config.coefficient_words,
            "program_memory_words": config.program_words,
        }.items():
            m.d.comb += getattr(bank, name).eq(value)

    def _counters(self, m, bank, running, began, layer_done, frame_done):
        """``began`` tells the first cycle of a program, which the counters count already."""
        width = self.config.counter_width
        low, high = self.cycles[:32], self.cycles[32:2 * width]
        m.d.comb += bank.cycles_low_cycles.eq(low)
        count = low
        if len(high):
            # A carry through all bits would be among the longest paths of the engine.
            carry, taken = Signal(), Signal()
            count = Cat(low, carry)
            m.d.sync += [carry.eq(0), taken.eq(bank.cycles_low_taken)]
            with m.If(taken):
                m.d.sync += bank.cycles_high_cycles.eq(high)
            with m.If(began):
                m.d.sync += high.eq(0)
            with m.Elif(carry):
                m.d.sync += high.eq(high + 1)
        with m.If(began):
            m.d.sync += low.eq(1)
        with m.Elif(running):
            m.d.sync += count.eq(low + 1)
        # No layer and no packet ends as a program begins.
        for field, event in ((bank.layers_done, layer_done), (bank.frames_finished, frame_done)):
            counter = field[:width]
            with m.If(began):
                m.d.sync += counter.eq(0)
            with m.Else():
                m.d.sync += counter.eq(counter + event)
