"""Layers in bands of output lines, whose results take the place of input that is done with."""

from dataclasses import dataclass, replace

from compiler.lower_depthwise import WINDOW
from golden.concat import ConcatLayer
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from hdl.isa import Opcode

__all__ = ["Cut", "cuts_of", "distances", "margins"]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a layer can be cut: which lines of its input a line of its output depends on.

    A line is a row of a frame; lines are counted through all frames of a batch. A band is some
    lines of one frame, or all lines of some frames: what one instruction can compute. Bands come
    one after the other, each when the results of the one before are written. So a band may
    overwrite any input but what itself or a later band reads: later lines, if bands come from
    the top down and the output trails the input in memory; earlier ones, if they come from the
    bottom up and it leads.

    Members
    -------
    step : int
        Of the layer, as in :class:`compiler.schedule.Lifetimes`.
    inputs : dict of int
        For each buffer that is read, words from one line to the next.
    output : str
        Buffer that is written.
    out_words : int
        Words of it from one line to the next.
    frames, in_height, out_height : int
    stride, top, span : int
        Rows of the input: from one output row to the next; of padding above; under the kernel.
    """

    step: int
    inputs: dict[str, int]
    output: str
    out_words: int
    frames: int
    in_height: int
    out_height: int
    stride: int
    top: int
    span: int

    @property
    def lines(self):
        """Output lines of all frames."""
        return self.frames * self.out_height

    def first_read(self, line):
        """First input line that this output line, or a later one, reads."""
        frame, row = divmod(line, self.out_height)
        return frame * self.in_height + min(max(0, row * self.stride - self.top), self.in_height)

    def end_read(self, line):
        """One more than the last input line that this output line, or an earlier one, reads."""
        frame, row = divmod(line, self.out_height)
        end = row * self.stride - self.top + self.span
        return frame * self.in_height + min(max(0, end), self.in_height)

    def end(self, first, limit):
        """End of the longest band from line ``first`` on that ends at ``limit`` or before; if that
        is not behind ``first``, there is none."""
        limit = min(limit, self.lines)
        row = first % self.out_height
        if row == 0 and limit - first > self.out_height:
            return limit - limit % self.out_height
        return min(limit, first - row + self.out_height)

    def first(self, end, limit):
        """The same upwards: first line of the longest band that ends at ``end`` and begins at
        ``limit`` or behind it."""
        limit = max(limit, 0)
        rows = (end - 1) % self.out_height + 1
        if rows == self.out_height and end - limit > rows:
            return -(-limit // self.out_height) * self.out_height
        return max(limit, end - rows)

    def bands(self, lines):
        """Bands (first line, end) of at most so many lines."""
        found, first = [], 0
        while first < self.lines:
            found.append((first, self.end(first, first + lines)))
            first = found[-1][1]
        return found

    def below(self, source, lines):
        """Words that the output must begin before that input, at least, if bands of so many lines
        come from the top down."""
        return max(end * self.out_words - self.first_read(first) * self.inputs[source]
                   for first, end in self.bands(lines))

    def above(self, source, lines):
        """Words that it must begin behind the input's beginning, if they come from the bottom
        up."""
        return max(1, *(self.end_read(end - 1) * self.inputs[source] - first * self.out_words
                        for first, end in self.bands(lines)))

    def divided(self, bases):
        """As few bands as do where the buffers lie, in the order in which they must come.

        Parameters
        ----------
        bases : dict of int
            First word of every buffer.

        Returns
        -------
        list of (int, int)
            First line and end of each.
        """
        base = bases[self.output]
        sources = [(bases[name], words) for name, words in self.inputs.items()
                   if name != self.output and bases[name] < base + self.lines * self.out_words
                   and base < bases[name] + self.frames * self.in_height * words]
        if not sources:
            return [(0, self.lines)]
        found = []
        if all(base < other for other, _ in sources):
            first = 0
            while first < self.lines:
                read = self.first_read(first)
                end = self.end(first, min((other + read * words - base) // self.out_words
                                          for other, words in sources))
                assert end > first, self
                found.append((first, end))
                first = end
            return found
        end = self.lines
        while end:
            read = self.end_read(end - 1)
            first = self.first(end, max(-((base - other - read * words) // self.out_words)
                                        for other, words in sources))
            assert first < end, self
            found.append((first, end))
            end = first
        return found

    def sources(self, regions, first, end):
        """The input's :class:`compiler.layout.Region`s as a band sees them: from the first row
        that it reads; and rows of padding above them."""
        frame, row = divmod(first, self.out_height)
        above = row * self.stride - self.top
        skipped = min(max(0, above), self.in_height)
        return [self._part(region, frame, skipped, region.shape[1] - skipped, first, end)
                for region in regions], max(0, -above)

    def target(self, region, first, end):
        """The output's region as a band sees it: its lines alone."""
        frame, row = divmod(first, self.out_height)
        return self._part(region, frame, row, min(end - first, self.out_height), first, end)

    def _part(self, region, frame, row, rows, first, end):
        channels, _, width = region.shape
        return replace(
            region, base=region.base + frame * region.frame_step + row * region.row_step,
            shape=(channels, rows, width), frames=max(1, (end - first) // self.out_height))


def cuts_of(placed, batch):
    """Return the :class:`Cut` of every node that computes, by its index.

    Parameters
    ----------
    placed : compiler.placement.Placed
    batch : int
    """
    shapes, nodes = placed.network.shapes(), placed.network.nodes
    computing = [(index, node) for index, node in enumerate(nodes)
                 if not isinstance(node.layer, ConcatLayer)]
    cuts = {}
    for step, (index, node) in enumerate(computing):
        stride, top, span = _rows(node.layer, placed.units[node.output])
        cuts[index] = Cut(
            step=step, output=placed.views[node.output].buffer,
            inputs={placed.views[name].buffer: shapes[name][2] * placed.step(name)
                    for name in node.inputs},
            out_words=shapes[node.output][2] * placed.step(node.output), frames=batch,
            in_height=shapes[node.inputs[0]][1], out_height=shapes[node.output][1],
            stride=stride, top=top, span=span)
    return cuts


def _rows(layer, unit):
    if isinstance(layer, ElementwiseLayer):
        return 1, 0, 1
    height = layer.weight.shape[2] if isinstance(layer, ConvLayer) else layer.kernel[0]
    # The window unit fills a smaller kernel up.
    span = WINDOW if unit == Opcode.DEPTHWISE else (height - 1) * layer.dilation[0] + 1
    return layer.stride[0], layer.padding[0], span


def margins(cuts, parts):
    """How near its output may lie to each input of a layer that is cut.

    Parameters
    ----------
    cuts : iterable of Cut
    parts : int
        Bands that a layer is cut into; lines are whole, so there may be some fewer or more.

    Returns
    -------
    list of (Cut, dict of (int, int))
        For each layer, what :meth:`Cut.below` and :meth:`Cut.above` say of every input.
    """
    return [(cut, {name: (cut.below(name, lines), cut.above(name, lines)) for name in cut.inputs})
            for cut in cuts for lines in [-(-cut.lines // parts)]]


def distances(near, buffers):
    """How near each other buffers may lie, as :func:`compiler.allocate.allocate` takes it: an
    input that is read for the last time and the output.

    Parameters
    ----------
    near : list of (Cut, dict of (int, int))
        As :func:`margins` gives it.
    buffers : sequence of compiler.allocate.Buffer
    """
    apart, steps = {}, {buffer.name: buffer.steps() for buffer in buffers}
    for cut, limits in near:
        ending = [name for name in limits if name != cut.output
                  and steps[name] & steps[cut.output] == {cut.step}]
        for name in ending:
            apart[cut.output, name] = limits[name][0]
        # With two, both ways might be needed at a time.
        if len(ending) == 1:
            apart[ending[0], cut.output] = limits[ending[0]][1]
    return apart
