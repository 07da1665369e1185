"""The host's end of the link to a board: requests that are executed once, whatever is lost."""

import random
import time
from dataclasses import dataclass

import numpy as np

from hdl.linkformat import MAX_WORDS, VERSION, Operation, ReplyStatus
from scripts.framing import FrameDecoder, decoded_reply, encoded_request

__all__ = ["Link", "LinkError", "Losses"]


class LinkError(RuntimeError):
    """The board does not answer, or refuses a request."""


@dataclass
class Losses:
    """What had to be repeated, or was dropped.

    Members
    -------
    silent : int
        Requests that no reply came to in time.
    damaged : int
        Requests that the board says arrived damaged.
    stray : int
        Replies to a request that had been answered before.
    """

    silent: int = 0
    damaged: int = 0
    stray: int = 0


class Link:
    """Requests to a board over a line that may lose, repeat and damage bytes.

    Parameters
    ----------
    port : object with ``write(bytes)`` and ``read()``
        What is read is what is there; if nothing is, what comes within some milliseconds.
    baud : int
        Bits a second of the line: how long a reply may take follows.
    patience : float
        Seconds to wait for a reply, beside the time that the bytes take.
    attempts : int
        How often a request is sent at most, once a session has begun.
    """

    #: How often the request is sent that begins one.
    OPENING = 5

    def __init__(self, port, *, baud, patience=0.5, attempts=20):
        self.port = port
        self.baud = baud
        self.patience = patience
        self.attempts = attempts
        self.losses = Losses()
        self._decoder = FrameDecoder()
        self._sequence = random.randrange(256)

    def open(self):
        """Begin a session.

        Raises
        ------
        LinkError
            If nobody answers, or the board's link is of another version.
        """
        _, version, _ = self._request(Operation.OPEN, attempts=self.OPENING)
        if version != VERSION:
            raise LinkError(f"its link is of version {version}, and this host knows version "
                            f"{VERSION}; build the bitstream again")

    def read(self, offset):
        """Return the register at a byte offset."""
        return int(self._checked(Operation.READ, [offset])[1][0])

    def write(self, offset, value):
        """Write the register at a byte offset."""
        self._checked(Operation.WRITE, [offset, value])

    def send(self, words, *, last):
        """Give words, at most MAX_WORDS, to the input stream; return how many it took.

        ``last``: the last of them is the last one of a packet.
        """
        taken, _ = self._checked(Operation.SEND_LAST if last else Operation.SEND, words)
        return taken

    def receive(self, count=MAX_WORDS):
        """Take up to so many words of the output stream; return those that were there, uint32, and
        whether the last of them ends a packet."""
        last, words = self._checked(Operation.RECEIVE, [count])
        return words, bool(last)

    def _checked(self, operation, body):
        status, info, words = self._request(operation, body)
        if status != ReplyStatus.OK:
            said = ReplyStatus(status)
            raise LinkError(f"it refuses {operation.name}: {said.name}. {said.meaning}")
        return info, words

    def _request(self, operation, body=(), *, attempts=None):
        """Status, info and body of the reply."""
        attempts = attempts or self.attempts
        self._sequence = (self._sequence + 1) % 256
        frame = encoded_request(operation, self._sequence, body)
        # Either way the frame with every byte escaped, and ten bits a byte.
        longest = 2 * 10 * (len(frame) + 4 * MAX_WORDS + 10) / self.baud
        for _ in range(attempts):
            self.port.write(frame)
            reply = self._reply(time.monotonic() + self.patience + longest)
            if reply:
                fields, words = reply
                return fields["status"], fields["info"], words
        raise LinkError(f"no answer to {attempts} requests at {self.baud} baud; look whether "
                        "the board holds Celosia's bitstream, and at --port and --baud")

    def _reply(self, deadline):
        """Fields and body of the reply to the present request; None if it has to be repeated."""
        while time.monotonic() < deadline:
            for words in self._decoder.feed(self.port.read()):
                reply = decoded_reply(np.array(words))
                if reply is None:
                    continue
                if reply[0]["status"] == ReplyStatus.DAMAGED:
                    self.losses.damaged += 1
                    return None
                if reply[0]["sequence"] == self._sequence:
                    return reply
                self.losses.stray += 1
        self.losses.silent += 1
        return None
