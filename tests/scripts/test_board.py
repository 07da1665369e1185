"""The host's end of the link to a board, and what it says if there is none."""

import os
import tty

import numpy as np
import pytest

from hdl.linkformat import REPLY_FIELDS, Operation, ReplyStatus
from scripts.framing import FrameDecoder, encoded, header_word
from scripts.link import Link, LinkError, Losses
from scripts.serialport import PortError, opened
from tests.scripts.small_models import IMAGE, convolutions

NAK = encoded([header_word(REPLY_FIELDS, status=ReplyStatus.DAMAGED)])


class Line:
    """A port behind which replies are made by ``answer(sequence, operation, body)``: frames."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []
        self.coming = b""
        self._decoder = FrameDecoder()

    def write(self, data):
        for words in self._decoder.feed(data):
            header, *body = words.tolist()
            request = header & 0xFF, Operation(header >> 8 & 0xFF), body
            assert header >> 16 == len(body)
            self.asked.append(request)
            self.coming += b"".join(self.answer(*request))

    def read(self):
        data, self.coming = self.coming, b""
        return data


def reply(sequence, *body, status=ReplyStatus.OK, info=0):
    return encoded([header_word(REPLY_FIELDS, sequence=sequence, status=status, count=len(body),
                                info=info), *body])


def link(answer, **options):
    line = Line(answer)
    return Link(line, baud=1_000_000, patience=0.01, **options), line


def test_every_request_has_a_number_of_its_own():
    host, line = link(lambda sequence, *_: [reply(sequence, 7)])
    for _ in range(300):
        assert host.read(4) == 7
    numbers = [sequence for sequence, _, _ in line.asked]
    assert all((after - before) % 256 == 1
               for before, after in zip(numbers, numbers[1:], strict=False))
    assert host.losses == Losses()


def test_what_is_not_answered_or_arrives_damaged_is_asked_again_under_its_number():
    fates = iter([[], [NAK], [b"\x7e\x01\x02"], None])

    def answer(sequence, *_):
        fate = next(fates)
        return [reply(sequence, 9)] if fate is None else fate

    host, line = link(answer)
    assert host.read(0) == 9
    assert len(line.asked) == 4
    assert len({sequence for sequence, _, _ in line.asked}) == 1
    assert host.losses == Losses(silent=2, damaged=1)


def test_replies_to_other_requests_are_ignored():
    host, _ = link(lambda sequence, *_: [
        reply((sequence - 1) % 256, 1), reply((sequence + 1) % 256, 2), reply(sequence, 3)])
    assert host.read(0) == 3
    assert host.losses == Losses(stray=2)


def test_streams_take_and_give_words():
    def answer(sequence, operation, body):
        if operation is Operation.RECEIVE:
            return [reply(sequence, *range(body[0]), info=1)]
        return [reply(sequence, info=len(body) - 1)]

    host, line = link(answer)
    assert host.send(np.array([5, 6, 7], "<u4"), last=False) == 2
    assert host.send([8], last=True) == 0
    words, last = host.receive(3)
    assert (words.tolist(), last) == ([0, 1, 2], True)
    assert [(operation, body) for _, operation, body in line.asked] == [
        (Operation.SEND, [5, 6, 7]), (Operation.SEND_LAST, [8]), (Operation.RECEIVE, [3])]


def test_refusals_and_silence_are_told():
    host, _ = link(lambda sequence, *_: [reply(sequence, status=ReplyStatus.BUS)])
    with pytest.raises(LinkError, match="it refuses READ: BUS. No such register"):
        host.read(0xFFC)
    host, _ = link(lambda sequence, *_: [reply(sequence, info=99)])
    with pytest.raises(LinkError, match="its link is of version 99, and this host knows"):
        host.open()
    host, line = link(lambda *_: [], attempts=3)
    with pytest.raises(LinkError, match="no answer to 3 requests at 1000000 baud"):
        host.read(0)
    assert len(line.asked) == 3


@pytest.fixture
def run(refused, save, tmp_path):
    """Run the small model on a board, which must be refused; what is said."""
    np.save(tmp_path / "x.npy", np.zeros((1, *IMAGE), np.int8))

    def call(*arguments):
        said = refused("run", save(convolutions()), "--config", "tiny", "--input",
                       tmp_path / "x.npy", "--output", tmp_path / "y.npy", *arguments)
        assert not (tmp_path / "y.npy").exists()
        return said
    return call


def test_port_and_board_belong_together(run):
    expected = "--engine board and --port belong together; see celosia run --help"
    assert run("--engine", "board") == expected
    assert run("--engine", "rtl", "--port", "/dev/null") == expected


def test_a_port_that_is_none_is_refused(run, tmp_path):
    nowhere = tmp_path / "ttyUSB0"
    assert run("--engine", "board", "--port", nowhere) == (
        f"{nowhere}: No such file or directory; give the board's serial port by --port")
    plain = tmp_path / "x.npy"
    assert run("--engine", "board", "--port", plain) == (
        f"{plain}: not a serial port; give the board's serial port by --port")


def test_a_port_where_nobody_answers_is_refused(run):
    terminal, other_end = os.openpty()
    tty.setraw(other_end)
    try:
        port = os.ttyname(other_end)
        assert run("--engine", "board", "--port", port) == (
            f"{port}: no answer to 5 requests at 1000000 baud; look whether the board holds "
            "Celosia's bitstream, and at --port and --baud")
    finally:
        os.close(terminal)
        os.close(other_end)


def test_a_port_that_goes_away_is_told():
    terminal, other_end = os.openpty()
    tty.setraw(other_end)
    port = os.ttyname(other_end)
    with opened(port, 115_200) as line:
        os.write(terminal, b"abc")
        assert b"".join(line.read() for _ in range(4)) == b"abc"
        assert line.read() == b""
        os.close(other_end)
        os.close(terminal)
        with pytest.raises(PortError, match=f"^{port}: "):
            line.read()
