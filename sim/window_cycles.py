"""Cycle model of the window unit: when each word goes in, and each pixel's sums come out."""

from collections import deque
from dataclasses import dataclass

from hdl.window import WindowUnit

__all__ = ["Raster", "window_cycles"]


@dataclass(frozen=True, kw_only=True)
class Raster:
    """The words of a depthwise layer.

    Members
    -------
    frames, height, width : int
        Words of a block, padding included.
    stride : (int, int)
        Rows and columns from one output pixel to the next.
    blocks : int
    dead : int
        Words after each block that belong to no pixel.
    """

    frames: int
    height: int
    width: int
    stride: tuple[int, int]
    blocks: int
    dead: int

    def gives(self):
        """For each word of a block whether it completes an output pixel."""
        row = [x >= 2 and (x - 2) % self.stride[1] == 0 for x in range(self.width)]
        none = [False] * self.width
        frame = [y >= 2 and (y - 2) % self.stride[0] == 0 for y in range(self.height)]
        return [each for y in frame for each in (row if y else none)] * self.frames


def window_cycles(raster, *, parts, sets, weights):
    """Return the cycles from the first word going in to the last pixel's last group leaving, less
    the unit's latency.

    A word goes in one cycle after the one before, but waits while too many pixels are on their
    way: of the :attr:`hdl.window.WindowUnit.DEPTH` places behind the sums, those taken up to four
    cycles before less those left up to two cycles before. A pixel leaves in ``parts`` cycles, for
    a register in front of the lanes, which has room for two groups.

    Parameters
    ----------
    raster : Raster
    parts : int
        Groups of a pixel.
    sets : int
        Cycles from one block's first group in the lanes to that of the next, at least.
    weights : int
        Words of a block's weights, which are taken one a cycle while the block before runs.
    """
    if parts == 1 and sets == 0:
        return _unhindered(raster, weights)
    gives = raster.gives()
    port = enter = -1                       # Of the word before: when it came, when it went in.
    entered, left = deque(), deque()        # When pixels that may count went in, and left.
    on_way = first_group = first_word = 0
    leave = lane = lane_before = -1         # Of the groups before: when they left, when in a lane.
    for block in range(raster.blocks):
        first = True
        for index, gives_pixel in enumerate(gives):
            passed = raster.dead if block and index == 0 else 0
            port = max(port + 1, enter) + passed
            enter = max(port + 1, enter + 1)
            if index == 0:
                enter = max(enter, first_word + weights + 5) if block else enter
                first_word = enter
            while True:
                while entered and entered[0] <= enter - 4:
                    entered.popleft()
                    on_way += 1
                while left and left[0] <= enter - 2:
                    left.popleft()
                    on_way -= 1
                if on_way < WindowUnit.DEPTH - 3:
                    break
                enter = left[0] + 2
            if gives_pixel:
                leave = max(leave, enter + WindowUnit.LATENCY - 2)
                for _ in range(parts):
                    leave = max(leave, lane_before) + 1
                    lane_before, lane = lane, max(leave, lane) + 1
                    if first:
                        lane = max(lane, first_group + sets) if block else lane
                        first_group, first = lane, False
                entered.append(enter)
                left.append(leave)
    return lane - WindowUnit.LATENCY - 1


def _unhindered(raster, weights):
    """The same if a pixel leaves in the cycle after the one before."""
    rows, columns = ((size - 3) // stride for size, stride in
                     zip((raster.height, raster.width), raster.stride, strict=True))
    frame = raster.height * raster.width
    block = max(raster.frames * frame + raster.dead, weights + 5)
    last = ((raster.frames - 1) * frame + (2 + rows * raster.stride[0]) * raster.width
            + 2 + columns * raster.stride[1])
    return (raster.blocks - 1) * block + last
