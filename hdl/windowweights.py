"""Weights of the window unit: what counts those of the next block in, and what keeps them."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .checks import check_range
from .layouts import OPERAND_WIDTH
from .operands import WINDOW_TAPS, window_steps

__all__ = ["WeightWord", "WindowLoader", "WindowWeights"]


class WeightWord(data.StructLayout):
    """A word of weights on its way to where they are kept.

    A block's weights are ``ceil(9 / columns) * channels`` words of ``columns`` bytes, of which the
    first ``9 * channels`` count: tap by tap, and channel by channel in a tap.

    Members
    -------
    number : ``ceil(9 * channels / columns)`` bits
        Which of the words that count it is, one bit for each; no bit if there is none.
    weights : ``columns`` bytes
    """

    def __init__(self, *, channels, columns):
        super().__init__({
            "number": -(-WINDOW_TAPS * channels // columns),
            "weights": data.ArrayLayout(OPERAND_WIDTH, columns),
        })


class WindowLoader(wiring.Component):
    """Takes the weights of the next block of channels, while those of the one before are in use.

    Parameters
    ----------
    channels, columns : :class:`int`, 1 to 64

    Members
    -------
    words : ``In(stream.Signature(ArrayLayout(unsigned(8), columns)))``
    drop : ``In(1)``
        Take all words, for nothing: nothing is ever loaded.
    take : ``In(1)``
        The weights come into use; only from the second cycle of ``loaded`` on.
    loaded : ``Out(1)``
        The next block's weights have all been taken.
    o : ``Out(WeightWord(...))``
        The word taken, two cycles later.
    """

    def __init__(self, *, channels, columns):
        check_range("Channels", channels, 1, 64)
        check_range("Columns", columns, 1, 64)
        self.channels = channels
        self.columns = columns
        super().__init__({
            "words": In(stream.Signature(data.ArrayLayout(OPERAND_WIDTH, columns))),
            "drop": In(1),
            "take": In(1),
            "loaded": Out(1),
            "o": Out(WeightWord(channels=channels, columns=columns)),
        })

    def elaborate(self, platform):
        m = Module()
        # Which word comes next, one bit for each, but for the word that came in the cycle before:
        # what is taken then has no wide enable to reach.
        expected = Signal(window_steps(self.columns) * self.channels, init=1)
        transfer, came = Signal(), Signal()
        m.d.comb += [
            self.words.ready.eq(~self.loaded),
            transfer.eq(self.words.valid & ~self.loaded),
        ]
        m.d.sync += came.eq(transfer)
        with m.If(came):
            m.d.sync += expected.eq(expected.rotate_left(1))
        last = Mux(came, expected.rotate_left(1)[-1], expected[-1])
        count = len(self.o.number)
        weights = Signal.like(self.words.payload, reset_less=True)
        word = Signal(self.o.shape(), reset_less=True)
        m.d.sync += [
            self.loaded.eq(Mux(transfer, last, self.loaded) & ~self.take & ~self.drop),
            weights.eq(self.words.payload),
            word.number.eq(expected[:count] & came.replicate(count)), word.weights.eq(weights),
        ]
        m.d.comb += self.o.eq(word)
        return m


class WindowWeights(wiring.Component):
    """Holds the weights of some channels of a block, and those of the next block.

    Parameters
    ----------
    channels, columns : :class:`int`, 1 to 64
        Of a block, and weights in a word.
    own : sequence of :class:`int`
        The channels whose weights it holds.

    Members
    -------
    word : ``In(WeightWord(...))``
        A word of the next block.
    take : ``In(1)``
        They come into use in the next cycle; only after the last word has come.
    weights : ``Out(ArrayLayout(ArrayLayout(signed(8), 9), len(own)))``
        For each of the channels those in use, tap by tap.
    """

    def __init__(self, *, channels, columns, own):
        check_range("Channels", channels, 1, 64)
        check_range("Columns", columns, 1, 64)
        self.channels = channels
        self.columns = columns
        self.own = own
        super().__init__({
            "word": In(WeightWord(channels=channels, columns=columns)),
            "take": In(1),
            "weights": Out(data.ArrayLayout(
                data.ArrayLayout(signed(OPERAND_WIDTH), WINDOW_TAPS), len(own))),
        })

    def elaborate(self, platform):
        m = Module()
        for channel, weights in zip(self.own, self.weights, strict=True):
            for tap in range(WINDOW_TAPS):
                ahead, weight = (Signal(OPERAND_WIDTH, name=f"{name}{channel}_{tap}",
                                        reset_less=True) for name in ("ahead", "weight"))
                number, place = divmod(tap * self.channels + channel, self.columns)
                with m.If(self.word.number[number]):
                    m.d.sync += ahead.eq(self.word.weights[place])
                with m.If(self.take):
                    m.d.sync += weight.eq(ahead)
                m.d.comb += weights[tap].eq(weight)
        return m
