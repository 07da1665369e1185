"""Frames of the host link, in gateware and on the host, whatever lies between them."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.frames import BYTE_CYCLES, FrameReceiver, FrameSender
from hdl.linkformat import ESCAPE, FLAG, MAX_WORDS
from scripts.framing import FrameDecoder, encoded
from sim.streams import random_gaps, receive, send
from tests.hdl.bench import simulate

#: Words with bytes that mean something to a receiver, too.
WORDS = st.lists(st.one_of(st.integers(0, 2**32 - 1),
                           st.sampled_from([0x7E7E7E7E, 0x7D5E7D5D, 0, 0x7E7D207E])),
                 min_size=1, max_size=20)
GARBAGE = st.lists(st.one_of(st.integers(0, 255), st.sampled_from([FLAG, ESCAPE])), max_size=30)


def frames_in(data, *, errors=(), clears=()):
    """Frames that the gateware finds in bytes that come as fast as they may, without their CRC;
    None for each that is not good.

    ``errors``: places of bytes without stop bit; ``clears``: of those with ``clear``.
    """
    dut, frames, words = FrameReceiver(), [], []

    async def bench(ctx):
        for place, byte in enumerate(data):
            await ctx.tick().repeat(BYTE_CYCLES - 1)
            ctx.set(dut.i.valid, 1)
            ctx.set(dut.i.payload, {"data": byte, "error": place in errors})
            ctx.set(dut.clear, place in clears)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            ctx.set(dut.clear, 0)
            index = ctx.get(dut.index)
            if ctx.get(dut.word_valid):
                words[index:] = [ctx.get(dut.word)]
            if ctx.get(dut.end):
                frames.append(words[:index - 1] if ctx.get(dut.good) else None)

    simulate(dut, bench, cycles=(len(data) + 1) * BYTE_CYCLES)
    return frames


def on_the_host(data):
    return [frame.tolist() for frame in FrameDecoder().feed(data)]


@settings(max_examples=30, deadline=None)
@given(garbage=GARBAGE, words=WORDS)
def test_a_good_frame_behind_garbage_is_taken(garbage, words):
    data = bytes(garbage) + encoded(words)
    assert frames_in(data)[-1] == words
    assert on_the_host(data)[-1] == words


@settings(max_examples=30, deadline=None)
@given(words=WORDS, more=WORDS, place=st.integers(0, 10_000), change=st.data())
def test_a_damaged_frame_is_none_and_the_next_one_is_taken(words, more, place, change):
    """A byte of it lost, repeated, or another one."""
    frame = encoded(words)
    place %= len(frame)
    byte = frame[place:place + 1]
    damaged = change.draw(st.sampled_from([
        b"", byte + byte, bytes([byte[0] ^ change.draw(st.integers(1, 255))])]))
    data = frame[:place] + damaged + frame[place + 1:] + encoded(more)
    # Damage to a flag may have hit nothing of the frame.
    found = [each for each in frames_in(data) if each is not None]
    assert found in ([more], [words, more])
    assert on_the_host(data) == found
    if 0 < place < len(frame) - 1:
        assert found == [more]


@settings(max_examples=20, deadline=None)
@given(words=WORDS, seed=st.integers(1, 99))
def test_gateware_makes_the_frames_that_the_host_makes(words, seed):
    dut = FrameSender()
    expected = encoded(words)

    async def words_in(ctx):
        payloads = [{"data": word, "last": index == len(words) - 1}
                    for index, word in enumerate(words)] * 2
        await send(ctx, dut.i, payloads, gaps=random_gaps(seed, longest=9))

    async def bytes_out(ctx):
        data = await receive(ctx, dut.o, 2 * len(expected), gaps=random_gaps(seed + 1, longest=5))
        assert bytes(data) == expected * 2

    simulate(dut, words_in, bytes_out)


def test_the_format_on_the_line():
    """Flag, words and zlib's CRC-32 with their lowest byte first, special bytes escaped."""
    crc = zlib.crc32(bytes([0x7E, 0x01, 0x7D, 0x02])).to_bytes(4, "little")
    assert not {FLAG, ESCAPE} & set(crc)
    assert encoded([0x027D017E]) == bytes.fromhex("7e 7d5e 01 7d5d 02") + crc + b"\x7e"


@pytest.mark.parametrize("words", [MAX_WORDS + 1, MAX_WORDS + 2, 2 * MAX_WORDS, 600])
def test_frames_longer_than_there_may_be_are_not_good(words):
    """Counting header and body."""
    data = encoded(np.arange(words)) + encoded([5])
    good = list(range(words)) if words <= MAX_WORDS + 1 else None
    assert frames_in(data) == [good, [5]]


def test_bytes_that_miss_or_exceed_words_are_not_good():
    """Even where CRC and number of words would be right."""
    content = bytes([1, 2, 3])
    frame = bytes([FLAG]) + content + zlib.crc32(content).to_bytes(4, "little") + bytes([FLAG])
    assert frames_in(frame) == [None]
    assert on_the_host(frame) == []


def test_a_frame_that_ends_behind_an_escape_is_not_good():
    frame = encoded([0x01020304])
    data = frame[:-1] + bytes([ESCAPE, FLAG]) + encoded([5])
    assert frames_in(data) == [None, [5]]
    assert on_the_host(data) == [[5]]


@pytest.mark.parametrize("place", range(9))
def test_a_byte_without_stop_bit_spoils_its_frame_alone(place):
    frame = encoded([0x01020304])
    assert frames_in(frame + frame, errors=[place])[-1] == [0x01020304]
    assert len([each for each in frames_in(frame + frame, errors=[place]) if each]) == 1


def test_what_comes_while_cleared_is_dropped_up_to_a_flag():
    frame = encoded([0x01020304])
    for place in range(1, len(frame)):
        assert frames_in(frame + frame, clears=[place]) == [[0x01020304]]


def test_ends_of_frames_may_be_shared_and_empty_ones_are_none():
    frame = encoded([1])
    assert frames_in(frame + frame[1:] + bytes([FLAG]) * 3 + frame) == [[1]] * 3
