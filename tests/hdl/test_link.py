"""The board's end of the host link: what it does with requests, and with what arrives of them."""

import random

import pytest

from hdl.linkformat import MAX_WORDS, VERSION, Operation, ReplyStatus
from scripts.framing import encoded, encoded_request
from tests.hdl.link_bench import Board


def said(reply):
    """Status, info and body of a reply."""
    return ReplyStatus(reply[0]["status"]), reply[0]["info"], reply[1]


OK = ReplyStatus.OK


def test_opens_and_reads_and_writes_registers():
    board = Board()

    async def bench(ctx):
        reply = await board.ask(ctx, Operation.OPEN, 0xA5)
        assert reply[0]["sequence"] == 0xA5
        assert said(reply) == (OK, VERSION, [])
        assert said(await board.ask(ctx, Operation.READ, 1, [0])) == (OK, 0, [0x0BAD_CAFE])
        assert said(await board.ask(ctx, Operation.WRITE, 2, [8, 0xFFEE_DDCC])) == (OK, 0, [])
        assert said(await board.ask(ctx, Operation.READ, 3, [8])) == (OK, 0, [0xFFEE_DDCC])
        assert said(await board.ask(ctx, Operation.READ, 4, [0x1C])) == (OK, 0, [0x7E7D_7E7D])
        assert said(await board.ask(ctx, Operation.READ, 5, [0x20])) == (ReplyStatus.BUS, 0, [])
        assert said(await board.ask(ctx, Operation.WRITE, 6, [0x24, 1])) == (
            ReplyStatus.BUS, 0, [])
        assert board.written == [(8, 0xFFEE_DDCC)]

    board.run(bench)


@pytest.mark.parametrize("operation", [Operation.READ, Operation.WRITE, Operation.SEND,
                                       Operation.SEND_LAST, Operation.RECEIVE])
def test_nothing_is_executed_before_a_session(operation):
    board = Board()
    board.results = [(1, 0)]

    async def bench(ctx):
        body = [4, 5] if operation is Operation.WRITE else [4]
        for _ in range(2):
            reply = await board.ask(ctx, operation, 0, body)
            assert said(reply) == (ReplyStatus.CLOSED, 0, [])
        assert not board.written
        assert not board.taken
        assert len(board.results) == 1

    board.run(bench)


def test_sends_whole_packets():
    chance = random.Random(1)
    board = Board(hesitant=lambda: chance.random() < 0.5)
    words = [chance.getrandbits(32) for _ in range(MAX_WORDS)]

    async def bench(ctx):
        await board.open(ctx)
        assert said(await board.ask(ctx, Operation.SEND, 1, words)) == (OK, MAX_WORDS, [])
        assert said(await board.ask(ctx, Operation.SEND_LAST, 2, words[:3])) == (OK, 3, [])
        assert said(await board.ask(ctx, Operation.SEND_LAST, 3, words[3:4])) == (OK, 1, [])
        await board.reply(ctx, patience=20)
        assert board.taken == [*((word, 0) for word in words), (words[0], 0), (words[1], 0),
                               (words[2], 1), (words[3], 1)]

    board.run(bench)


def test_a_stream_that_hesitates_takes_the_rest_later():
    """A word that has been offered and not taken is withdrawn: the host sends it again."""
    most = 3
    board = Board(hesitant=lambda: len(board.taken) >= most)

    async def bench(ctx):
        nonlocal most
        await board.open(ctx)
        assert said(await board.ask(ctx, Operation.SEND_LAST, 1, [1, 2, 3, 4, 5])) == (OK, 3, [])
        assert said(await board.ask(ctx, Operation.SEND_LAST, 2, [4, 5])) == (OK, 0, [])
        most = 99
        assert said(await board.ask(ctx, Operation.SEND_LAST, 3, [4, 5])) == (OK, 2, [])
        await board.reply(ctx, patience=20)
        assert board.taken == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 1)]

    board.run(bench)


def test_receives_up_to_the_number_asked_for_and_to_the_end_of_a_packet():
    board = Board()
    words = [random.Random(2).getrandbits(32) for _ in range(MAX_WORDS)]

    async def bench(ctx):
        await board.open(ctx)
        assert said(await board.ask(ctx, Operation.RECEIVE, 1, [5])) == (OK, 0, [])
        board.results = [(word, 0) for word in words[:-1]] + [(words[-1], 1), (8, 0), (9, 1)]
        assert said(await board.ask(ctx, Operation.RECEIVE, 2, [4])) == (OK, 0, words[:4])
        assert said(await board.ask(ctx, Operation.RECEIVE, 3, [MAX_WORDS])) == (OK, 1, words[4:])
        assert said(await board.ask(ctx, Operation.RECEIVE, 4, [1])) == (OK, 0, [8])
        assert said(await board.ask(ctx, Operation.RECEIVE, 5, [1])) == (OK, 1, [9])
        board.results = [(word, 0) for word in words]
        assert said(await board.ask(ctx, Operation.RECEIVE, 6, [MAX_WORDS])) == (OK, 0, words)

    board.run(bench)


def test_a_repetition_is_answered_alike_and_not_executed():
    board = Board()
    board.results = [(word, 0) for word in range(9)]

    async def bench(ctx):
        await board.open(ctx)
        for sequence, (operation, body) in enumerate([
                (Operation.WRITE, [8, 5]), (Operation.SEND_LAST, [1, 2, 3]),
                (Operation.RECEIVE, [3]), (Operation.READ, [8])], start=1):
            first = await board.ask(ctx, operation, sequence, body)
            for _ in range(2):
                # What arrives damaged in between changes nothing.
                await board.send(ctx, encoded([0x0102_0304, 9])[:-3] + b"\x7e")
                assert said(await board.reply(ctx)) == (ReplyStatus.DAMAGED, 0, [])
                assert await board.ask(ctx, operation, sequence, body) == first
        assert board.written == [(8, 5)]
        assert board.taken == [(1, 0), (2, 0), (3, 1)]
        assert len(board.results) == 6

    board.run(bench)


@pytest.mark.parametrize(("operation", "body"), [
    (Operation.OPEN, [1]), (Operation.READ, []), (Operation.READ, [0, 0]), (Operation.WRITE, [8]),
    (Operation.WRITE, [8, 1, 2]), (Operation.SEND, []), (Operation.SEND_LAST, []),
    (Operation.RECEIVE, []), (Operation.RECEIVE, [1, 1]), (Operation.RECEIVE, [0]),
    (Operation.RECEIVE, [MAX_WORDS + 1])])
def test_bodies_of_a_wrong_length_are_refused(operation, body):
    board = Board()
    board.results = [(1, 0)]

    async def bench(ctx):
        await board.open(ctx)
        assert said(await board.ask(ctx, operation, 1, body)) == (ReplyStatus.LENGTH, 0, [])
        assert (board.written, board.taken, len(board.results)) == ([], [], 1)

    board.run(bench)


def test_a_header_that_announces_another_length_is_refused():
    board = Board()

    async def bench(ctx):
        await board.open(ctx)
        await board.send(ctx, encoded([2 << 16 | Operation.SEND << 8 | 1, 7]))
        assert said(await board.reply(ctx)) == (ReplyStatus.LENGTH, 0, [])
        assert not board.taken

    board.run(bench)


def test_unknown_operations_are_refused():
    board = Board()

    async def bench(ctx):
        await board.open(ctx)
        for sequence, operation in enumerate([6, 7, 8, 128, 255], start=1):
            assert said(await board.ask(ctx, operation, sequence)) == (
                ReplyStatus.OPERATION, 0, [])

    board.run(bench)


@pytest.mark.parametrize("seed", range(3))
def test_every_word_passes_once_over_a_bad_line(seed):
    """A host that repeats what is not answered, over a line that loses, repeats and changes bytes
    both ways: both streams, word for word, and every write once."""
    chance = random.Random(seed)
    board = Board(hesitant=lambda: chance.random() < 0.3)
    results = [(chance.getrandbits(32), index % 7 == 6) for index in range(60)]
    board.results = list(results)
    sent, received, written = [], [], []
    attempts = 0

    def spoiled(frame):
        data = bytearray()
        for byte in frame:
            fate = chance.random()
            if fate > 0.01:
                data.append(byte)
            if fate < 0.02:
                data.append(chance.choice([byte, chance.randrange(256), 0x7E, 0x7D]))
        return bytes(data)

    async def ask(ctx, operation, sequence, body=()):
        nonlocal attempts
        for _ in range(50):
            attempts += 1
            await board.send(ctx, spoiled(encoded_request(operation, sequence, body)))
            while (reply := await board.reply(ctx, patience=600)) is not None:
                # The way back may lose a reply as well.
                if chance.random() < 0.2:
                    continue
                if reply[0]["status"] == ReplyStatus.DAMAGED:
                    break
                if reply[0]["sequence"] == sequence % 256:
                    return said(reply)
        raise AssertionError("no answer")

    async def bench(ctx):
        sequence = seed
        await ask(ctx, Operation.OPEN, sequence)
        while len(received) < len(results):
            sequence = (sequence + 1) % 256
            last = chance.random() < 0.3
            words = [chance.getrandbits(32) for _ in range(chance.randrange(1, 20))]
            status, taken, _ = await ask(
                ctx, Operation.SEND_LAST if last else Operation.SEND, sequence, words)
            assert status == OK
            sent.extend((word, int(last and index == len(words) - 1))
                        for index, word in enumerate(words[:taken]))
            sequence = (sequence + 1) % 256
            status, last, words = await ask(ctx, Operation.RECEIVE, sequence,
                                            [chance.randrange(1, 9)])
            received.extend((word, bool(last and index == len(words) - 1))
                            for index, word in enumerate(words))
            sequence = (sequence + 1) % 256
            written.append((8, chance.getrandbits(32)))
            assert (await ask(ctx, Operation.WRITE, sequence, written[-1]))[0] == OK
        await board.reply(ctx, patience=50)
        assert board.taken == sent
        assert received == results
        assert board.written == written
        assert attempts > 1.2 * (sequence - seed)

    board.run(bench, cycles=300_000)
