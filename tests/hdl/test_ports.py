# amaranth: UnusedElaboratable=no

import itertools
import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.isa import Destination, Status
from hdl.ports import PacketReceiver
from hdl.sender import WordSender
from sim.streams import random_gaps
from tests.hdl.ports_bench import (
    FRAME_DONE,
    MEMORIES,
    WIDTHS,
    Failure,
    Start,
    Write,
    closed,
    header,
    packet,
    receive,
    transmit,
)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pause=st.sampled_from([0, 4]),
       write_share=st.sampled_from([1, 0.3]), activation_width=st.sampled_from([8, 32, 96]))
def test_fills_memories_at_any_pace(seed, pause, write_share, activation_width):
    source = random.Random(seed)
    widths = WIDTHS | dict.fromkeys((Destination.ACTIVATIONS, Destination.FRAME),
                                    activation_width)
    beats, expected = [], []
    for _ in range(4):
        destination = source.choice(MEMORIES)
        address = source.choice([0, 0xFFFE, source.randrange(0x10000)])
        words = [source.getrandbits(widths[destination]) for _ in range(source.randint(1, 6))]
        beats += packet(source, destination, address, words, widths)
        expected += [Write(destination, address + index, word)
                     for index, word in enumerate(words)]
    watch = receive(beats, gaps=random_gaps(seed, longest=pause), write_share=write_share,
                    seed=seed, widths=widths, after=60)
    assert watch.events == expected
    assert len(watch.accepted) == len(beats)
    assert watch.idle[-1]
    assert not watch.loading[-1]


@pytest.mark.parametrize("destination", MEMORIES)
def test_takes_a_beat_a_cycle(destination):
    """Once the head of a packet is understood. A packet ends with the last write, and the next
    one begins after it."""
    source = random.Random(1)
    number = -(-WIDTHS[destination] // 32)
    beats = [beat for _ in range(2)
             for beat in packet(source, destination, 5, [source.getrandbits(8)] * 4, WIDTHS)]
    watch = receive(beats)
    assert len(watch.accepted) == len(beats)
    first, second = watch.cycles[:4], watch.cycles[4:]
    for written, begin in ((first, 1), (second, first[-1] + 1)):
        assert written == [begin + PacketReceiver.HEAD + number * (word + 1) for word in range(4)]
    last = second[-1]
    assert watch.loading == [0 < cycle <= last for cycle in range(len(watch.loading))]
    assert watch.idle == [not 0 < cycle <= last for cycle in range(len(watch.idle))]


@pytest.mark.parametrize("busy", [0, 1])
def test_frames_wait_for_receive(busy):
    """Each goes where its own instruction says; the packet's address means nothing."""
    print("seed 3")
    source = random.Random(3)
    frames = [[source.getrandbits(64) for _ in range(size)] for size in (3, 1, 4)]
    bases = [7, 0xFFFF, 100]
    beats = [beat for frame in frames
             for beat in packet(source, Destination.FRAME, source.getrandbits(16), frame, WIDTHS)]
    layers = [{"base": base, "pixels": len(frame) - 1}
              for base, frame in zip(bases, frames, strict=True)]
    watch = receive(beats, layers=layers, layer_gaps=itertools.repeat(50), busy=busy, after=70)
    expected = []
    for base, frame in zip(bases, frames, strict=True):
        expected += [Write(Destination.FRAME, base + index, word)
                     for index, word in enumerate(frame)]
        expected.append(FRAME_DONE)
    assert watch.events == expected
    # Instructions are taken 51 cycles apart.
    done = [0]
    for index, frame in enumerate(frames):
        written = [watch.cycles[done[-1] + index + word] for word in range(len(frame))]
        assert all(51 * (index + 1) < cycle < 51 * (index + 1) + 20 for cycle in written)
        done.append(done[-1] + len(frame))
    assert not any(watch.loading)
    done = [cycle for cycle, event in zip(watch.cycles, watch.events, strict=True)
            if event == FRAME_DONE]
    assert not any(watch.idle[51 * index + 51] for index in range(3))
    assert watch.idle[done[-1] + 1]


def test_a_frame_awaited_keeps_the_receiver_from_being_idle():
    watch = receive([], layers=[{"base": 1, "pixels": 3}], layer_gaps=iter([10]))
    assert watch.idle == [cycle <= 10 for cycle in range(len(watch.idle))]
    assert not watch.events


def test_start():
    source = random.Random(0)
    beats = [*closed([header(source, Destination.START, 0x1234), 0xFEDC_BA98]),
             *closed([header(source, Destination.START, 5), 1])]
    watch = receive(beats)
    assert watch.events == [Start(0x1234, 0xFEDC_BA98), Start(5, 1)]
    head = PacketReceiver.HEAD
    assert watch.cycles == [1 + head, 1 + 2 * head]
    assert watch.loading == [0 < cycle <= 2 * head for cycle in range(len(watch.loading))]


class Wrong(NamedTuple):
    """A wrong packet, ``at`` whose beat that shows."""

    beats: list
    status: Status
    at: int
    busy: int = 0

    def __str__(self):
        data = " ".join(f"{beat:x}" for beat, _ in self.beats[:3])
        return f"{data} of {len(self.beats)}{' while busy' * self.busy}"


def wrong_packets():
    source = random.Random(0)
    for destination in Destination:
        yield Wrong(closed([destination]), Status.SHORT_PACKET, 0)
    for destination in (*MEMORIES, Destination.START):
        yield Wrong(closed([destination, 1, 2, 3]), Status.ILLEGAL_PACKET, 0, busy=1)
    for code in range(6, 16):
        yield Wrong(closed([code, 1, 2, 3]), Status.ILLEGAL_PACKET, 0)
    for destination in WIDTHS:
        words = [source.getrandbits(32) for _ in range(2 * beats_of(destination))]
        yield Wrong(closed([destination, 0, *words]), Status.SHORT_PACKET, 1)
        for end in range(len(words)):
            yield Wrong(closed([destination, 2, *words[:end]]), Status.SHORT_PACKET, 1 + end)
        yield Wrong(closed([destination, 2, *words, 0]), Status.LONG_PACKET, 1 + len(words))
    yield Wrong(closed([Destination.START, 1, 0]), Status.LONG_PACKET, 1)
    yield Wrong(closed([Destination.START, 0]), Status.SHORT_PACKET, 1)
    # Two words are wanted.
    yield Wrong(closed([Destination.FRAME, 1, 2, 3]), Status.SHORT_PACKET, 1)
    for length in (3, 2**20 + 2, 2**32 - 1):
        yield Wrong(closed([Destination.FRAME, length, 2, 3]), Status.LONG_PACKET, 1)


def beats_of(destination):
    return -(-WIDTHS.get(destination, 32) // 32)


@pytest.mark.parametrize("wrong", list(wrong_packets()), ids=str)
def test_wrong_packets(wrong):
    """They are told of soon. Words that were whole by then are written, and nothing is accepted
    any more but what the register in front holds, nor is the receiver idle."""
    destination = wrong.beats[0][0]
    layers = [{"base": 0, "pixels": 1}] * 2 if destination == Destination.FRAME else ()
    watch = receive(wrong.beats * 2, busy=wrong.busy, layers=layers)
    written = [event for event in watch.events if isinstance(event, Write)]
    assert [event for event in watch.events if event not in written] == [Failure(wrong.status)]
    assert wrong.at < len(watch.accepted) <= wrong.at + 3
    failed = watch.cycles[watch.events.index(Failure(wrong.status))]
    assert watch.accepted[wrong.at] < failed <= watch.accepted[wrong.at] + 1 + PacketReceiver.HEAD
    assert [write.address for write in written] == list(
        range(max(0, wrong.at - 1) // beats_of(destination)))
    assert not any(watch.idle[failed:])
    assert not any(watch.loading[failed + 1:])


def test_a_reset_forgets_everything():
    source = random.Random(9)
    words = [source.getrandbits(40) for _ in range(3)]
    beats = packet(source, Destination.WEIGHTS, 11, words, WIDTHS)
    expected = [Write(Destination.WEIGHTS, 11 + index, word) for index, word in enumerate(words)]
    for cut_off in range(1, len(beats)):
        assert receive(beats, cut_off=cut_off, write_share=0.5).events == expected


def sent(channels, layers, words):
    """The beats that should leave."""
    live = iter([codes for codes, live in words if live])
    for number in layers:
        for index in range(number):
            codes = [*next(live), 0, 0, 0][:-(-channels // 4) * 4]
            for start in range(0, channels, 4):
                yield (int.from_bytes(bytes(codes[start:start + 4]), "little"),
                       index == number - 1 and start + 4 >= channels)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), channels=st.sampled_from([1, 2, 4, 5, 8, 16]),
       layers=st.lists(st.integers(1, 5), min_size=1, max_size=3),
       slow=st.sampled_from(["words", "layers", "o", None]))
def test_sends_words_at_any_pace(seed, channels, layers, slow):
    """Words that are not live are dropped; those of the next SEND may come before it."""
    source = random.Random(seed)
    words = []
    for _ in range(sum(layers)):
        words += [([source.randrange(256) for _ in range(channels)], live)
                  for live in [False] * source.choice([0, 0, 2]) + [True]]
    longest = {name: 9 if name == slow else 1 for name in ("words", "layers", "o")}
    beats, _, idle = transmit(channels, layers, words,
                              gaps=random_gaps(seed, longest=longest["o"]),
                              word_gaps=random_gaps(seed + 1, longest=longest["words"]),
                              layer_gaps=random_gaps(seed + 2, longest=longest["layers"]))
    assert beats == list(sent(channels, layers, words))
    assert idle[0]
    assert idle[-1]


@pytest.mark.parametrize("channels", [4, 7, 16])
def test_a_beat_leaves_every_cycle(channels):
    """From the second cycle on after its instruction; it is idle after the last one only."""
    words = [([index] * channels, True) for index in range(5)]
    beats, cycles, idle = transmit(channels, [5], words)
    assert beats == list(sent(channels, [5], words))
    assert cycles["layers"] == [0]
    assert cycles["words"][0] == 0
    assert cycles["o"] == list(range(2, 2 + len(beats)))
    assert idle == [cycle == 0 or cycle >= 2 + len(beats) for cycle in range(len(idle))]


@pytest.mark.parametrize(("channels", "error", "message"), [
    (0, ValueError, r"^Channels must be 1 to 64, not 0$"),
    (4.0, TypeError, r"^Channels must be an integer, not 4\.0$"),
])
def test_bad_channels(channels, error, message):
    with pytest.raises(error, match=message):
        WordSender(channels=channels)
