"""The engine: a whole network, from frames in to results out."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .config import Configuration
from .faults import FaultKeeper
from .isa import ADDRESS_WIDTH, Destination, Opcode, Status
from .layouts import OPERAND_WIDTH
from .memories import ActivationMemory
from .operands import CoefficientReader, StoredCoefficients, TileWriter, WeightReader
from .pipeline import ConvPipeline
from .ports import Beat, PacketReceiver
from .reader import ActivationReader, Route
from .sender import WordSender
from .sequencer import COMPUTING, UNITS, Sequencer
from .vector import VectorUnit
from .vendor import registered_copies
from .window import WindowUnit
from .writer import ResultWriter

__all__ = ["Engine"]


#: Units beside the array that are given activation words.
_FETCHING = {"sender": Route.SENDER, "window": Route.WINDOW, "vector": Route.VECTOR}

class Engine(wiring.Component):
    """Runs programs on frames, with all memories on chip.

    ::

        packets ─ receiver ─┬ program ──── sequencer ─ instructions to all units
                            ├ weights ────────────┐
                            ├ coefficients ─────┐ │
                            └─┬ activations ─┬ pipeline ─┬─ results
                              │              ├ window ─┤ │
                              │              ├ vector ─┘ │
                              │              └ sender ───┼─ output stream
                              └───── writer ─────────────┘

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`

    Members
    -------
    i : ``In(stream.Signature(Beat()))``
        Packets (:class:`hdl.isa.Destination`).
    o : ``Out(stream.Signature(Beat()))``
        Words of the SEND instructions, each of which ends with ``last``.
    start, start_address, start_frames : ``In``
        Run the program at that address for so many frames, as a START packet does. Both stay
        for a cycle after the start.
    refused : ``Out(1)``
        The start of :attr:`ANSWERING` cycles ago is not granted, and nothing comes of it: a program
        runs, has stopped with a fault, or is to run for no frame or for more than are counted; or a
        memory is being filled.
    loading : ``Out(1)``
        A packet that fills a memory, or is a START, is under way.
    reset : ``In(1)``
        Stop and forget all but the contents of the memories.
    busy : ``Out(1)``
        A program runs: from :attr:`ANSWERING` cycles after the start on.
    status : ``Out(4)``
        Why the last program stopped (:class:`hdl.isa.Status`). After anything but DONE the
        engine does no more until it is reset.
    layer_begun, layer_done : ``Out(1)``
        The reading of a layer's activations begins; its results are written.
    """

    ANSWERING = 2

    def __init__(self, config):
        if not isinstance(config, Configuration):
            raise TypeError(f"Configuration must be a Configuration, not {config!r}")
        self.config = config
        super().__init__({
            "i": In(stream.Signature(Beat())),
            "o": Out(stream.Signature(Beat())),
            "start": In(1),
            "start_address": In(ADDRESS_WIDTH),
            "start_frames": In(32),
            "refused": Out(1),
            "loading": Out(1),
            "reset": In(1),
            "busy": Out(1),
            "status": Out(4),
            "layer_begun": Out(1),
            "layer_done": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        units = self._units()
        # One of these registers is as far from `reset` as the device is wide, so each unit has one
        # of its own. In the cycle in which they are high, nothing goes in or out. They stand for
        # the reset of the domain too, so that no gate is between them and what they reset: in
        # hardware, units have a domain without one. A simulator would take its clock for another.
        resetting, *resets = registered_copies(
            m, platform, self.config.family, self.reset | ResetSignal(), 1 + len(units),
            name="resetting")
        if platform:
            m.domains.units = ClockDomain(reset_less=True, local=True)
            m.d.comb += ClockSignal("units").eq(ClockSignal())
        for (name, unit), reset in zip(units.items(), resets, strict=True):
            unit = ResetInserter(reset)(unit)
            m.submodules[name] = DomainRenamer("units")(unit) if platform else unit
        sequencer = units["sequencer"]
        for name in UNITS:
            if name in units:
                wiring.connect(m, getattr(sequencer, name), units[name].layers)
        receiver, sender = units["receiver"], units["sender"]
        m.d.comb += [
            receiver.i.payload.eq(self.i.payload), receiver.i.valid.eq(self.i.valid),
            self.i.ready.eq(receiver.i.ready & ~resetting),
            self.o.payload.eq(sender.o.payload), sender.o.ready.eq(self.o.ready),
            self.o.valid.eq(sender.o.valid & ~resetting),
        ]
        self._fetch(m, units)
        self._compute(m, units)
        self._loading(m, resetting, **{name: units[name] for name in (
            "receiver", "sequencer", "memory", "weights", "coefficients", "writer")})
        for name in ("window", "vector"):
            if name in units:
                m.d.comb += getattr(sequencer, f"{name}_loaded").eq(units[name].loaded)
        m.d.comb += [
            sequencer.layer_done.eq(units["writer"].done),
            sequencer.all_read.eq(units["reader"].idle),
            sequencer.all_sent.eq(units["sender"].idle),
            sequencer.idle.eq(units["sender"].idle & units["reader"].idle
                              & units["receiver"].layers.ready),
            self.layer_done.eq(units["writer"].done & ~resetting),
            self.layer_begun.eq(units["reader"].taken
                                & sequencer.reader.p.opcode.matches(*COMPUTING) & ~resetting),
        ]
        self._starting(m, resetting, **units)
        self._faults(m, resetting, **units)
        return m

    def _units(self):
        config = self.config
        shape = {"channels": config.channels, "lanes": config.lanes}
        family = {"family": config.family}
        fields = {"instruction": config.instruction}
        activation_width = config.channels * OPERAND_WIDTH
        units = {}
        if config.window_width:
            units["window"] = WindowUnit(columns=config.columns, slots=config.groups,
                                         width=config.window_width, **shape, **family)
        if config.vector:
            units["vector"] = VectorUnit(rows=config.rows, slots=config.groups, **shape, **family)
        absent = {opcode for unit, opcode in (("window", Opcode.DEPTHWISE),
                                              ("vector", Opcode.VECTOR)) if unit not in units}
        return units | {
            "sequencer": Sequencer(depth=config.program_words, absent=absent,
                                   counter_width=config.counter_width, **family, **fields),
            "receiver": PacketReceiver(widths={
                Destination.PROGRAM: 32,
                Destination.WEIGHTS: config.columns * OPERAND_WIDTH,
                Destination.COEFFICIENTS: StoredCoefficients().size,
                Destination.ACTIVATIONS: activation_width,
                Destination.FRAME: activation_width,
            }, counter_width=config.counter_width, by_beats=config.by_beats, **fields),
            "reader": ActivationReader(rows=config.rows, **family, **fields),
            "memory": ActivationMemory(
                depth=config.activation_words, **shape, **family, **fields,
                routes=[Route.ARRAY, *(route for name, route in _FETCHING.items()
                                       if name in units or name == "sender")]),
            "tiles": TileWriter(**fields),
            "weights": WeightReader(columns=config.columns, channels=config.channels,
                                    depth=config.weight_words, **family, **fields),
            "coefficients": CoefficientReader(columns=config.columns, channels=config.channels,
                                              depth=config.coefficient_words, **family, **fields,
                                              parts=3 if config.by_beats else 1),
            "pipeline": ConvPipeline(config),
            "writer": ResultWriter(rows=config.rows, slots=config.slots, **shape, **fields),
            "sender": WordSender(channels=config.channels, **fields),
            "faults": FaultKeeper(sources=4 + len(self._depths())),
        }

    def _fetch(self, m, units):
        """From activation memory to who asked for the word."""
        reader, memory = units["reader"], units["memory"]
        wiring.connect(m, reader.requests, memory.requests)
        m.d.comb += [reader.credit.eq(memory.credit), memory.claim.eq(reader.begun)]
        word, activations = memory.words[Route.ARRAY], units["pipeline"].activations
        m.d.comb += [activations.payload.eq(word.p.codes), activations.valid.eq(word.valid),
                     word.ready.eq(activations.ready)]
        for name, route in _FETCHING.items():
            if name in units:
                wiring.connect(m, memory.words[route], units[name].words)

    def _compute(self, m, units):
        """From the memories through the units to the lanes, and back."""
        pipeline, tables = units["pipeline"], units["coefficients"]
        weights = units["weights"]
        wiring.connect(m, units["tiles"].o, pipeline.tiles)
        wiring.connect(m, pipeline.outputs, units["writer"].results)
        m.d.comb += [
            pipeline.weights.payload.eq(weights.o.payload),
            pipeline.weights.valid.eq(weights.o.valid & ~weights.window),
            weights.o.ready.eq(pipeline.weights.ready),
            pipeline.coefficients.payload.eq(tables.o.payload),
            pipeline.coefficients.valid.eq(tables.o.valid & ~tables.table),
            tables.o.ready.eq(pipeline.coefficients.ready),
        ]
        if window := units.get("window"):
            m.d.comb += [
                window.weights.payload.eq(weights.o.payload),
                window.weights.valid.eq(weights.o.valid & weights.window),
            ]
            with m.If(weights.window):
                m.d.comb += weights.o.ready.eq(window.weights.ready)
        if vector := units.get("vector"):
            m.d.comb += [
                vector.tables.p.even.eq(tables.o.p.bias),
                vector.tables.p.odd.eq(tables.o.p.multiplier),
                vector.tables.valid.eq(tables.o.valid & tables.table),
            ]
            with m.If(tables.table):
                m.d.comb += tables.o.ready.eq(vector.tables.ready)
        others = [units[name] for name in ("window", "vector") if name in units]
        for index, unit in enumerate(others):
            wiring.connect(m, unit.sums, pipeline.sums[index])

    def _loading(self, m, resetting, *, receiver, sequencer, memory, weights, coefficients, writer):
        """Memories are filled by packets; results come before an activation word from there."""
        for unit, destination in ((sequencer, Destination.PROGRAM), (weights, Destination.WEIGHTS),
                                  (coefficients, Destination.COEFFICIENTS)):
            here, word = receiver.write[destination], receiver.word
            if destination in self.config.by_beats:
                here = Mux(here, receiver.part, 0)
                word = word[:32].replicate(unit.parts)
            m.d.comb += [unit.write_en.eq(here), unit.write_data.eq(word),
                         unit.write_address.eq(receiver.address)]
        frame_ready = Signal()
        # A register, since all that is about to be read hangs on it where there is one port.
        m.d.sync += memory.writing.eq(writer.write_next | receiver.offers_next)
        m.d.comb += [
            receiver.write_ready.eq(writer.write_free),
            memory.write.eq(writer.write),
            memory.write_en.eq(writer.write_en),
            sequencer.frame_ready.eq(frame_ready),
        ]
        with m.If(~writer.write_en):
            m.d.comb += [
                memory.write_en.eq(receiver.offers),
                memory.write.address.eq(receiver.address),
                memory.write.enable.eq(~0),
                Value.cast(memory.write.codes).eq(receiver.word),
            ]
        with m.If(resetting | sequencer.frame_taken):
            m.d.sync += frame_ready.eq(0)
        with m.Elif(receiver.frame_done):
            m.d.sync += frame_ready.eq(1)

    def _starting(self, m, resetting, *, receiver, sequencer, faults, **_units):
        """By packet or by ``start``, which has to wait until packets before it have gone in."""
        start, loading, asked = Signal(), Signal(), Signal()
        frames = Signal(4)      # Whether there are any, by bytes of their number.
        able = ~sequencer.busy & ~start & ~faults.halt & ~resetting
        countable = self.config.counter_width // 8
        granted = asked & frames[:countable].any() & ~frames[countable:].any() & ~loading
        m.d.sync += [
            asked.eq(self.start), frames.eq(Cat(
                self.start_frames.word_select(part, 8).any() for part in range(4))),
            # Whoever sees that nothing is loading may start in this cycle: a packet that comes
            # meanwhile will see `start`.
            loading.eq(receiver.loading & ~resetting),
            start.eq((receiver.start | granted) & able),
            self.refused.eq(asked & ~(granted & able)),
            sequencer.start_address.eq(Mux(receiver.start, receiver.address, self.start_address)),
            sequencer.start_frames.eq(Mux(receiver.start, receiver.frames, self.start_frames)),
        ]
        m.d.comb += [
            self.loading.eq(loading & ~resetting),
            sequencer.start.eq(start), faults.start.eq(start),
            receiver.busy.eq(sequencer.busy | start),
            self.busy.eq((sequencer.busy | start) & ~resetting),
        ]

    def _faults(self, m, resetting, *, faults, receiver, sequencer, reader, weights, coefficients,
                writer, window=None, **_units):
        """Whatever shows that something is wrong."""
        config = self.config
        request = reader.requests
        beyond = [
            (request.valid & request.p.live & request.p.inside
             & (request.p.address >= config.activation_words)),
            writer.write_en & (writer.write.address >= config.activation_words),
            weights.beyond, coefficients.beyond,
            *(receiver.write[destination] & (receiver.address >= depth)
              for destination, depth in self._depths().items()),
        ]
        m.d.comb += [
            faults.failed.eq(receiver.failed), faults.failure.eq(receiver.status),
            faults.beyond.eq(Cat(beyond)),
            faults.wrong.eq(reader.wrong | (window.wrong if window else 0)),
            faults.stopped.eq(sequencer.stopped), faults.reason.eq(sequencer.status),
            sequencer.halt.eq(faults.halt),
            self.status.eq(Mux(resetting, Status.NONE, faults.status)),
        ]

    def _depths(self):
        """Words of the memory of each destination."""
        config = self.config
        return {
            Destination.PROGRAM: config.program_words, Destination.WEIGHTS: config.weight_words,
            Destination.COEFFICIENTS: config.coefficient_words,
            Destination.ACTIVATIONS: config.activation_words,
            Destination.FRAME: config.activation_words,
        }
