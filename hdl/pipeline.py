"""The convolution pipeline: operand words and coefficients in, requantised words out."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .array import SystolicArray, array_latency
from .coefficients import CoefficientBank
from .config import Configuration
from .drain import DrainController, SlotToken
from .feeder import RowFeeder, WeightFeeder
from .fifo import ReservedBuffer, StreamBuffer, counted_within
from .issue import StepIssuer
from .layouts import OPERAND_WIDTH, Coefficients, SumGroups, Tile
from .leanarray import LeanArray
from .multiplier import multiplier_class
from .resultqueue import ResultQueue
from .scaleshift import ScaleShift, lane_latency
from .sumqueue import SumQueue

__all__ = ["ConvPipeline", "array_delay", "coefficient_delay"]


def array_delay(config):
    """Cycles from a tag entering the array to its effect on the results."""
    return (LeanArray.LATENCY if config.lean
            else array_latency(multiplier_class(config.multiplier)))


def coefficient_delay(config):
    """Cycles from a result being told to leave to the last lane having read its coefficients."""
    return array_delay(config) + config.lanes + 1


class ConvPipeline(wiring.Component):
    """Convolution, scale-shift (BatchNorm and requantisation), and ReLU or clip, in one pipeline.

    ::

        activations ─ buffer ─ row feeder ────┐
        weights ────────────── weight feeder ─┤
        tiles ──────────────── step issuer ─ array ─ lanes ─ result queue ─ outputs
                                  └ drain controller ┘ │
        sums ──────────────────────────────────┤
        coefficients ──────────────────── coefficient bank

    A tile is ``rows`` output pixels by ``columns`` output channels. It takes as many steps as
    :class:`hdl.layouts.Tile` says, each of them one activation word for every row, row 0 first,
    and one weight word for every channel of an activation word. If its descriptor says ``renew``,
    it takes the next ``columns`` coefficients, else those of the tile before. It gives the
    results of row 0, 1, 2, …, each as ``columns / lanes`` words of ``lanes`` codes.

    While one tile drains, the next accumulates. Between tiles whose operands are there, no
    array cycle is lost if they take at least :attr:`hdl.config.Configuration.drain_cycles`.

    Sums that other units make go through the same lanes: ``lanes`` of them at a time, while no
    tile is under way, and from one unit at a time. The first group of a block of theirs takes the
    next set of coefficients.

    Any stream may stall at any time. Operands are buffered, a step starts once it can run to its
    end, and results leave the array only as there is room for them; so stalls do not reach the
    array, where no net fans out to all elements.

    Golden function: :class:`golden.layer.ConvLayer`, given zero points folded into the biases.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`

    Members
    -------
    tiles : ``In(stream.Signature(Tile()))``
    activations : ``In(stream.Signature(ArrayLayout(unsigned(8), channels)))``
        Codes of one pixel each, int8 or uint8.
    weights : ``In(stream.Signature(ArrayLayout(unsigned(8), columns)))``
        int8 weights of one input channel and kernel tap each.
    coefficients : ``In(stream.Signature(Coefficients()))``
        One channel each, column 0 first, the last one of a set marked.
    sums : ``In(SumGroups(...))``, one for each other unit
        Sums from elsewhere, if the configuration has such units.
    outputs : ``Out(stream.Signature(ArrayLayout(unsigned(8), lanes)))``
        Codes of one pixel each, int8 or uint8 as the coefficients' bounds have it.
    """

    def __init__(self, config):
        if not isinstance(config, Configuration):
            raise TypeError(f"Configuration must be a Configuration, not {config!r}")
        self.config = config
        group = SumGroups(lanes=config.lanes, slots=config.groups)
        super().__init__({
            "tiles": In(stream.Signature(Tile())),
            "activations": In(stream.Signature(
                data.ArrayLayout(OPERAND_WIDTH, config.channels))),
            "weights": In(stream.Signature(data.ArrayLayout(OPERAND_WIDTH, config.columns))),
            "coefficients": In(stream.Signature(Coefficients())),
            **({"sums": In(group).array(config.sum_units)} if config.sum_units else {}),
            "outputs": Out(stream.Signature(data.ArrayLayout(OPERAND_WIDTH, config.lanes))),
        })

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.array = array = self._array()
        m.submodules.issuer = issuer = StepIssuer(
            channels=config.channels, registered=not config.lean, gap=config.lean)
        m.submodules.drain = drain = DrainController(
            rows=config.rows, slots=config.slots, interval=config.lane_interval,
            singly=config.lean)
        m.submodules.bank = bank = CoefficientBank(
            columns=config.groups * config.lanes, lanes=config.lanes,
            read_delay=coefficient_delay(config), family=config.family)

        if config.lean:
            wiring.connect(m, wiring.flipped(self.tiles), issuer.tiles)
        else:
            m.submodules.tiles = tiles = StreamBuffer(Tile(), depth=4)
            wiring.connect(m, wiring.flipped(self.tiles), tiles.i)
            wiring.connect(m, tiles.o, issuer.tiles)
        wiring.connect(m, wiring.flipped(self.coefficients), bank.channels)
        self._operands(m, issuer, array)
        m.d.comb += [
            drain.finished.eq(issuer.finished),
            drain.renew.eq(issuer.renew),
            drain.set_ready.eq(bank.set_ready),
            issuer.capture.eq(drain.capture),
            bank.take.eq((drain.capture & issuer.renew) | drain.swap),
        ]
        # What control decides happens one cycle later, so that no decision has to travel far in
        # the cycle in which it is made; tags meet the operands behind the feeders' registers.
        tags = Signal.like(array.tags)
        m.d.sync += [
            tags.clear.eq(issuer.clear) if config.lean else tags.first.eq(issuer.first),
            tags.capture.eq(drain.capture),
            tags.shift.eq(drain.shift),
            array.tags.eq(tags),
        ]
        self._lanes(m, array, drain, bank)
        return m

    def _array(self):
        config = self.config
        size = {"rows": config.rows, "columns": config.columns,
                "accumulator_width": config.accumulator_width}
        if config.lean:
            return LeanArray(family=config.family, **size)
        return SystolicArray(lanes=config.lanes, lut_rows=config.lut_rows,
                             multiplier=multiplier_class(config.multiplier), **size)

    def _operands(self, m, issuer, array):
        """Buffer both operands, and feed the array step by step."""
        config = self.config
        # Twice a step: one that runs, one that arrives; and at least what comes until that is known
        # of the one, and the sender knows that there is room (`_land`).
        depth = max(config.channels + 8, 2 * config.channels, 10)
        if config.lean:
            # Block RAM has places to spare, and a power of two of them is the easiest to count.
            depth = 1 << (depth - 1).bit_length()
        buffer = StreamBuffer if config.lean else ReservedBuffer
        m.submodules.activations = activations = buffer(
            self.activations.payload.shape(), depth=depth + config.lean, family=config.family)
        m.submodules.row_feeder = rows = RowFeeder(rows=config.rows, channels=config.channels)
        start, unsigned = Signal(), Signal()
        m.d.sync += [start.eq(issuer.start), unsigned.eq(issuer.unsigned)]
        # A bit for each word that is still to be taken after this cycle's.
        left = Signal(config.rows)
        more, taking = Signal(), Signal()
        m.d.comb += more.eq(Mux(start, config.rows > 1, left[0]))
        m.d.sync += [left.eq(Mux(start, (1 << config.rows - 1) - 1, left) >> 1),
                     taking.eq(issuer.start | more)]
        if config.lean:
            # The block RAM's own register is what feeds the array.
            m.submodules.weights = weights = StreamBuffer(
                self.weights.payload.shape(), depth=depth + 1, family=config.family)
            active, fed = Signal(), Signal()
            m.d.sync += [active.eq(issuer.active), fed.eq(active)]
            wiring.connect(m, wiring.flipped(self.activations), activations.i)
            wiring.connect(m, wiring.flipped(self.weights), weights.i)
            m.d.comb += [weights.o.ready.eq(fed), array.w.eq(weights.o.payload)]
        else:
            m.submodules.weight_feeder = weights = WeightFeeder(
                columns=config.columns, lanes=config.lanes, depth=depth)
            taken = activations.o.valid & activations.o.ready
            room = counted_within(activations.level, activations.i.valid, taken, depth - 3)
            self._land(m, "activation", wiring.flipped(self.activations), activations.i, room)
            self._land(m, "weight", wiring.flipped(self.weights), weights.i,
                       weights.level <= depth - 4)
            m.d.comb += [weights.take.eq(issuer.active), array.w.eq(weights.w)]
        # A step takes its words one a cycle. So if it takes four it may be seen to have started a
        # cycle later, and the next will still find as many as are there.
        begun = start if config.channels > 3 else issuer.start
        m.d.sync += issuer.operands_ready.eq(
            self._there(m, "activations", activations.i, begun, config.rows)
            & self._there(m, "weights", weights.i, begun, config.channels))
        m.d.comb += [
            activations.o.ready.eq(taking),
            rows.start.eq(start),
            rows.word.eq(activations.o.payload),
            rows.unsigned.eq(unsigned),
            array.x.eq(rows.x),
        ]

    def _there(self, m, name, words, start, needed):
        """Return whether as many of ``words`` are there as a step that starts has ``needed``."""
        # Those that no step has started for. Those of this cycle are not among them, which is in
        # time for the next step if it is two cycles or more away, unless words have one channel.
        unclaimed = Signal(range(2 * self.config.channels + 10), name=f"unclaimed_{name}")
        comes = words.valid & words.ready
        m.d.sync += unclaimed.eq(
            unclaimed + Mux(start, Mux(comes, 1 - needed, -needed), comes))
        enough = unclaimed >= needed
        if self.config.channels == 1:
            enough = Mux(start, unclaimed >= 2 * needed, enough)
        return enough

    def _land(self, m, name, source, sink, room):
        """Connect a stream to a buffer that may be far away by registers that never wait, as words
        are let go only while there is ``room`` for one more than those that may be on their way."""
        landed = Signal.like(sink.payload, name=name, reset_less=True)
        enough = Signal(name=f"room_for_{name}")
        m.d.sync += [
            enough.eq(room), source.ready.eq(enough),
            sink.valid.eq(source.valid & source.ready), landed.eq(source.payload),
        ]
        m.d.comb += sink.payload.eq(landed)

    def _lanes(self, m, array, drain, bank):
        """Take results from the top row to the outputs, lane ``l`` being ``l`` cycles late."""
        config = self.config
        token_shape = data.StructLayout({
            "valid": 1, "sum": 1, "place": range(SumQueue.PLACES),
            "token": SlotToken(slots=config.groups)})
        token = Signal(token_shape)
        m.d.comb += [token.valid.eq(drain.valid), token.token.slot.eq(drain.token.slot),
                     token.token.bank.eq(drain.token.bank)]
        for stage in range(array.LATENCY + 1):
            delayed = Signal(token_shape, name=f"token{stage}")
            m.d.sync += delayed.eq(token)
            token = delayed
        if config.lean:
            # One result takes longer than it is on its way: what comes with it is still there.
            token, late = Signal(token_shape), token
            m.d.comb += [token.eq(late), token.token.eq(drain.token)]
        m.submodules.outputs = results = ResultQueue(
            lanes=config.lanes, interval=config.lane_interval, family=config.family,
            flight=array.LATENCY + 2 + lane_latency(config.lane_interval))
        # The last of these registers also takes in what comes from elsewhere.
        take_sums, queue = self._take_sums(m, token, drain, bank, results.credit)
        lanes = []
        for index in range(config.lanes):
            if index:
                delayed = Signal(token_shape, name=f"lane_token{index}", reset_less=True)
                m.d.sync += delayed.eq(token)
                token = delayed
            lanes.append(self._lane(m, index, token, queue, array, bank))
        m.d.comb += [
            drain.credit.eq(results.credit),
            results.claim.eq(drain.valid | take_sums), results.valid.eq(lanes[0].o_valid),
            *(results.codes[index].eq(lane.q) for index, lane in enumerate(lanes)),
        ]
        wiring.connect(m, results.o, wiring.flipped(self.outputs))

    def _take_sums(self, m, token, drain, bank, credit):
        """Let sums from elsewhere into ``token``; return when, and where they wait."""
        config = self.config
        if not config.sum_units:
            return C(0, 1), None
        m.submodules.sums = queue = SumQueue(
            lanes=config.lanes, slots=config.groups, units=config.sum_units)
        for index, sums in enumerate(self.sums):
            wiring.connect(m, wiring.flipped(sums), queue.groups[index])
        free, take, renew = Signal(init=1), Signal(), Signal()
        m.d.comb += [
            queue.o.ready.eq(credit & free & (~queue.o.p.renew | bank.set_ready)),
            take.eq(queue.o.valid & queue.o.ready),
            renew.eq(take & queue.o.p.renew),
            drain.swap.eq(renew),
        ]
        if config.lane_interval > 1:
            # A lane is busy for an interval.
            wait = Signal(range(config.lane_interval))
            wait_next = Mux(take, config.lane_interval - 1, wait - (wait != 0))
            m.d.sync += [wait.eq(wait_next), free.eq(wait_next == 0)]
        with m.If(take):
            m.d.sync += [token.valid.eq(1), token.token.slot.eq(queue.o.p.slot),
                         token.token.bank.eq(drain.token.bank ^ renew)]
        m.d.sync += [token.sum.eq(take), token.place.eq(queue.place)]
        return take, queue

    def _lane(self, m, index, token, queue, array, bank):
        """Add lane ``index``, which acts on ``token`` in this cycle; return it."""
        config = self.config
        lane = ScaleShift(accumulator_width=config.sum_width, interval=config.lane_interval,
                          blocks=config.lane_blocks, family=config.family)
        m.submodules[f"lane{index}"] = lane
        m.d.sync += lane.valid.eq(token.valid)
        m.d.comb += [
            lane.acc.eq(array.result if config.lean
                        else self._result(m, index, token, queue, array)),
            lane.coefficients.eq(bank.coefficients[index]),
            bank.slot[index].eq(token.token.slot),
            bank.bank[index].eq(token.token.bank),
        ]
        if lane.holds:
            m.d.comb += bank.read[index].eq(token.valid)
        return lane

    def _result(self, m, index, token, queue, array):
        """Return what lane ``index`` takes for ``token``, one cycle later."""
        config = self.config
        acc = Signal(signed(config.sum_width), name=f"acc{index}", reset_less=True)
        # As many as the slot's bits can name: Verilog should leave no case open.
        columns = array.results[index::config.lanes]
        bits = max(1, (config.slots - 1).bit_length())
        results = Array(columns[min(slot, config.slots - 1)] for slot in range(1 << bits))
        result = results[token.token.slot[:bits]]
        if queue:
            m.d.comb += queue.read[index].eq(token.place)
            result = Mux(token.sum, queue.sums[index], result)
        m.d.sync += acc.eq(result)
        return acc
