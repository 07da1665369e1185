"""The convolution pipeline: operand words and coefficients in, requantised words out."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .array import SystolicArray, array_latency
from .coefficients import CoefficientBank
from .config import Configuration
from .drain import DrainController, SlotToken
from .feeder import RowFeeder, WeightFeeder
from .fifo import StreamBuffer, counted
from .issue import StepIssuer
from .layouts import OPERAND_WIDTH, Coefficients, SumGroups, Tile
from .leanarray import LeanArray
from .multiplier import multiplier_class
from .scaleshift import ScaleShift
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
        weights ───── buffer ─ weight feeder ─┤
        tiles ──────────────── step issuer ─ array ─ lanes ─ buffer ─ outputs
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
        depth = max(config.channels + 9, 2 * config.channels + 1)
        m.submodules.activations = activations = StreamBuffer(
            self.activations.payload.shape(), depth=depth, family=config.family,
            reserved=not config.lean)
        m.submodules.weights = weights = StreamBuffer(
            self.weights.payload.shape(), depth=depth, family=config.family,
            reserved=not config.lean)
        m.submodules.row_feeder = rows = RowFeeder(rows=config.rows, channels=config.channels)
        m.submodules.weight_feeder = columns = WeightFeeder(
            columns=config.columns, lanes=config.lanes)
        self._land(m, "activation", wiring.flipped(self.activations), activations)
        self._land(m, "weight", wiring.flipped(self.weights), weights)

        start, active, unsigned = Signal(), Signal(), Signal()
        m.d.sync += [
            start.eq(issuer.start), active.eq(issuer.active), unsigned.eq(issuer.unsigned)]
        # A bit for each word that is still to be taken after this cycle's.
        left = Signal(config.rows)
        more, taking = Signal(), Signal()
        m.d.comb += more.eq(Mux(start, config.rows > 1, left[0]))
        m.d.sync += [left.eq(Mux(start, (1 << config.rows - 1) - 1, left) >> 1),
                     taking.eq(issuer.start | more)]

        def ready(name, buffer, needed, following):
            # Known a cycle ahead: what the step before takes in this cycle and in the following
            # one is not there any more. No step starts in the cycle after a start but a short one.
            there = Signal(name=f"{name}_there")
            following |= issuer.start if config.channels == 1 else 0
            taken = [buffer.o.ready & buffer.o.valid, following]
            m.d.sync += there.eq((buffer.level >= needed + 2)
                                 | ((buffer.level == needed + 1) & ~Cat(taken).all())
                                 | ((buffer.level == needed) & ~Cat(taken).any()))
            return there

        m.d.comb += [
            issuer.operands_ready.eq(
                ready("activations", activations, config.rows, more)
                & ready("weights", weights, config.channels, issuer.running)),
            activations.o.ready.eq(taking),
            weights.o.ready.eq(active),
            rows.start.eq(start),
            rows.word.eq(activations.o.payload),
            rows.unsigned.eq(unsigned),
            columns.word.eq(weights.o.payload),
            array.x.eq(rows.x),
            array.w.eq(columns.w),
        ]

    def _lanes(self, m, array, drain, bank):
        """Take results from the top row, lane ``l`` being ``l`` cycles late, and line them up."""
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
        # The last of these registers also takes in what comes from elsewhere.
        credit = Signal()
        take_sums, queue = self._take_sums(m, token, drain, bank, credit)
        last = self._lane(m, 0, token, queue, array, bank)
        for index in range(1, config.lanes):
            delayed = Signal(token_shape, name=f"lane_token{index}")
            m.d.sync += delayed.eq(token)
            token = delayed
            last = self._lane(m, index, token, queue, array, bank)

        # Every group of results that is told to leave has its place in the buffer. More than are on
        # their way at full rate, so that returning room is counted in time.
        margin = 3 if config.lane_interval == 1 else 2
        depth = margin + max(4, -(-(array.LATENCY + config.lanes + last.latency + 6)
                                  // config.lane_interval))
        m.submodules.outputs = outputs = StreamBuffer(
            self.outputs.payload.shape(), depth=depth, family=config.family, reserved=True)
        room = Signal(range(depth + 1), init=depth)
        returned, claimed = Signal(), Signal()
        # The count is a cycle late, and so is what is said of it.
        m.d.sync += [
            returned.eq(outputs.o.valid & outputs.o.ready),
            claimed.eq(drain.valid | take_sums),
            room.eq(counted(room, returned, claimed)),
            credit.eq(room >= margin),
        ]
        m.d.comb += drain.credit.eq(credit)
        wiring.connect(m, outputs.o, wiring.flipped(self.outputs))
        # All codes wait in registers at last, since the buffer may be far away.
        late = int(not config.lean)
        if late:
            m.d.sync += outputs.i.valid.eq(last.o_valid)
        else:
            m.d.comb += outputs.i.valid.eq(last.o_valid)
        for index in range(config.lanes):
            code = getattr(m.submodules, f"lane{index}").q
            for stage in range(config.lanes - 1 - index + late):
                delayed = Signal(OPERAND_WIDTH, name=f"q{index}_{stage}", reset_less=True)
                m.d.sync += delayed.eq(code)
                code = delayed
            m.d.comb += outputs.i.payload[index].eq(code)

    def _land(self, m, name, source, buffer):
        """Connect a stream to a buffer that may be far away, but a lean engine's: by registers that
        never wait, as they are let go only while there will be room."""
        if self.config.lean:
            wiring.connect(m, source, buffer.i)
            return
        landed = Signal.like(buffer.i.payload, name=name, reset_less=True)
        enough = Signal(name=f"room_for_{name}")
        # The level is four cycles late for who sends.
        m.d.sync += [
            enough.eq(buffer.level <= buffer.depth - 4), source.ready.eq(enough),
            buffer.i.valid.eq(source.valid & source.ready), landed.eq(source.payload),
        ]
        m.d.comb += buffer.i.payload.eq(landed)

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
                          family=config.family)
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
