"""Pooling and elementwise arithmetic on the vector unit."""

from dataclasses import dataclass
from math import prod

import numpy as np

from compiler.geometry import address, walk
from compiler.layout import Layout
from compiler.lower_conv import write_fields
from golden.elementwise import ElementwiseLayer
from golden.pool import PoolLayer
from hdl.config import Configuration
from hdl.isa import Opcode
from hdl.layouts import channel_records
from hdl.operands import TABLE_ENTRIES

__all__ = ["VectorJob"]


@dataclass(frozen=True, eq=False)
class VectorJob:
    """One VECTOR.

    Members
    -------
    layer : PoolLayer or ElementwiseLayer
    source : Layout
        Of all inputs and the output.
    config : Configuration
    """

    layer: PoolLayer | ElementwiseLayer
    source: Layout
    config: Configuration

    #: Words of weight memory.
    weight_count = 0

    @property
    def coefficient_count(self):
        """Records of coefficient memory, tables included."""
        tables = TABLE_ENTRIES if isinstance(self.layer, ElementwiseLayer) else 0
        return tables + self.source.words * self.config.channels

    def fields(self, sources, target, top):
        """Fields of the instruction, given the :class:`compiler.layout.Region` of every tensor,
        and rows of padding above."""
        layer, words = self.layer, self.source.words
        fields = {
            "opcode": Opcode.VECTOR, "block_step": 1, "tap_words": 0, "blocks": words - 1,
            "zero": layer.output_zero_point, "low": layer.low, "high": layer.high,
            **(self._pool(layer, sources[0], target, top) if isinstance(layer, PoolLayer)
               else self._elementwise(sources, target)),
            **write_fields(target, first_word=0, groups=words * self.config.parts),
        }
        return fields | self._side_by_side(sources[0], target)

    def weights(self):
        """None, uint8 (0, columns)."""
        return np.zeros((0, self.config.columns), np.uint8)

    def coefficients(self):
        """Tables, then a record for each channel, all of them alike."""
        layer = self.layer
        record, = channel_records([layer.bias], [layer.multiplier], [layer.shift],
                                  rounding=layer.rounding, channels=1)
        records = [record] * (self.source.words * self.config.channels)
        if not isinstance(layer, ElementwiseLayer):
            return records
        first, second = layer.tables[0].tolist(), layer.tables[-1].tolist()
        return [{"bias": even, "multiplier": odd}
                for even, odd in zip(first, second, strict=True)] + records

    def _pool(self, layer, source, target, top):
        return {
            "unsigned": int(layer.input_unsigned), "maximum": int(layer.kind == "max"),
            "pad_code": layer.pad_code % 256, "last_step": prod(layer.kernel) - 1,
            **walk(source, target.shape[1:], self.config, kernel=layer.kernel,
                   stride=layer.stride, padding=(top, layer.padding[1]), dilation=layer.dilation),
        }

    def _side_by_side(self, source, target):
        """Fields that differ if the words of a frame's only pixel are taken for pixels.

        Its channels are all treated alike; and as a tile takes no longer for all of its rows
        than for one, averages over a whole map so take a fraction of the cycles.
        """
        words = self.source.words
        if target.shape[1:] != (1, 1) or (source.frames > 1 and target.step != words):
            return {}
        if isinstance(self.layer, PoolLayer) and any(self.layer.padding):
            return {}       # Coordinates tell which taps lie in the padding.
        pixels = source.frames * words
        return {
            "x_step": 1, "stride_x": 0, "out_width": words - 1, "block_step": 0, "blocks": 0,
            "pixels": pixels - 1, "tiles": -(-pixels // self.config.rows) - 1, "out_step": 1,
            "out_groups": self.config.parts - 1,
        }

    def _elementwise(self, sources, target):
        """A second input is a second tap, as far away as the other tensor."""
        first, last = sources[0], sources[-1]
        taps = len(sources) - 1
        return {
            **walk(first, target.shape[1:], self.config), "table": 1, "kernel_width": taps,
            "last_step": taps, "tap_x_step": address(last.base - first.base),
            "dilation_x": 0,
        }
