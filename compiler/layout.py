"""How tensors lie in activation memory: channels in words, pixels in order, parts in a whole."""

from dataclasses import dataclass

import numpy as np

from golden.concat import ConcatLayer
from golden.layer import ConvLayer
from hdl.isa import Opcode

__all__ = ["Layout", "Region", "View", "layouts_of", "views_of"]


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the channels of a tensor lie in the words of a pixel.

    Members
    -------
    words : int
        Words of a pixel.
    places : int array, shape (C,)
        Channel c is code ``places[c] % n`` of word ``places[c] // n``, words having n codes. What
        no channel takes is a gap, and may hold anything.
    """

    words: int
    places: np.ndarray

    @classmethod
    def plain(cls, channels, word):
        """Channels in order, without a gap but at the end, in words of ``word`` codes."""
        return cls(-(-channels // word), np.arange(channels))

    @classmethod
    def joined(cls, parts, word):
        """Layouts one behind the other, each beginning with a word of its own."""
        starts = np.cumsum([0, *(part.words for part in parts)])
        return cls(int(starts[-1]), np.concatenate(
            [part.places + start * word for part, start in zip(parts, starts, strict=False)]))

    @property
    def is_plain(self):
        """Whether the channels are in order and without a gap."""
        return bool((self.places == np.arange(len(self.places))).all())

    def equals(self, other):
        """Whether both have the same channels in the same places."""
        return self.words == other.words and np.array_equal(self.places, other.places)


@dataclass(frozen=True)
class View:
    """A tensor as part of a buffer.

    Members
    -------
    buffer : str
        The tensor that the buffer belongs to.
    offset : int
        Word of the buffer's pixel at which the tensor's own words begin.
    """

    buffer: str
    offset: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """Where a tensor lies: pixels in order, frame after frame.

    Members
    -------
    base : int
        First word.
    shape : (int, int, int)
        (C, H, W) of a frame.
    frames : int
    layout : Layout
    step : int
        Words from one pixel to the next, ``layout.words`` unless the tensor is part of another.
    """

    base: int
    shape: tuple[int, int, int]
    frames: int
    layout: Layout
    step: int

    @property
    def words(self):
        """Words of a pixel."""
        return self.layout.words

    @property
    def pixels(self):
        """Pixels of all frames."""
        return self.frames * self.shape[1] * self.shape[2]

    @property
    def size(self):
        """Words of all pixels."""
        return self.pixels * self.words

    @property
    def row_step(self):
        """Words from one row to the next."""
        return self.shape[2] * self.step

    @property
    def frame_step(self):
        """Words from one frame to the next."""
        return self.shape[1] * self.row_step


def layouts_of(network, units, config):
    """Return the :class:`Layout` of every tensor by name.

    The array puts out channels in order. The other units work on words, whatever channels they
    hold, so their results lie as their operands do.

    Parameters
    ----------
    network : golden.network.Network
    units : dict of Opcode
        For each tensor that an instruction makes, which kind does.
    config : Configuration
    """
    word = config.channels
    layouts = {network.input: Layout.plain(network.input_shape[0], word)}
    for node in network.nodes:
        sources = [layouts[name] for name in node.inputs]
        if isinstance(node.layer, ConcatLayer):
            layout = Layout.joined(sources, word)
        elif units[node.output] == Opcode.CONV and isinstance(node.layer, ConvLayer):
            layout = Layout.plain(len(node.layer.weight), word)
        else:
            layout = sources[0]
        layouts[node.output] = layout
    return layouts


def views_of(network, layouts):
    """Return the :class:`View` of every tensor by name: of a buffer of its own, or of the one of
    the concatenation that it goes into, of which there may be one at most."""
    views = {name: View(name, 0) for name in layouts}
    # A whole comes before its parts, which may be wholes themselves.
    for node in reversed(network.nodes):
        if isinstance(node.layer, ConcatLayer):
            whole = views[node.output]
            offset = whole.offset
            for name in node.inputs:
                assert views[name] == View(name, 0), name
                views[name] = View(whole.buffer, offset)
                offset += layouts[name].words
    return views
