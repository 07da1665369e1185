"""Frames of the host link, on the host's side: words to bytes and back (:mod:`hdl.linkformat`)."""

import zlib

import numpy as np

from hdl.linkformat import ESCAPE, ESCAPED, FLAG, REPLY_FIELDS, REQUEST_FIELDS

__all__ = ["FrameDecoder", "decoded_reply", "encoded", "encoded_request", "header_word"]


def header_word(layout, **values):
    """Return the header of fields as :data:`hdl.linkformat.REQUEST_FIELDS` or its sister has them;
    those left out are 0."""
    word, low = 0, 0
    for name, width, _ in layout:
        word |= values.pop(name, 0) << low
        low += width
    assert not values, f"no such field: {', '.join(values)}"
    return word


def encoded(words):
    """Return the frame of some 32-bit words, as bytes."""
    content = np.asarray(words, "<u4").tobytes()
    content += zlib.crc32(content).to_bytes(4, "little")
    stuffed = bytearray([FLAG])
    for byte in content:
        stuffed += bytes([ESCAPE, byte ^ ESCAPED]) if byte in (FLAG, ESCAPE) else bytes([byte])
    return bytes(stuffed + bytes([FLAG]))


def encoded_request(operation, sequence, body=()):
    """Return a request as bytes."""
    return encoded([header_word(REQUEST_FIELDS, sequence=sequence, operation=operation,
                                count=len(body)), *body])


def decoded_reply(words):
    """Return a reply's fields by name, and its body, a uint32 array; None if it is none."""
    fields, low = {}, 0
    for name, width, _ in REPLY_FIELDS:
        fields[name] = int(words[0]) >> low & (1 << width) - 1
        low += width
    return (fields, words[1:]) if fields["count"] == len(words) - 1 else None


class FrameDecoder:
    """Takes frames out of bytes, whatever lies between them; drops those that are damaged."""

    def __init__(self):
        self._content = None        # Of the frame under way; None before the first flag.
        self._escaping = False

    def feed(self, data):
        """Return the frames that end in ``data``, each a uint32 array without its CRC."""
        frames = []
        for byte in data:
            if byte == FLAG:
                frames += self._frame()
                self._content, self._escaping = bytearray(), False
            elif self._content is not None and byte == ESCAPE and not self._escaping:
                self._escaping = True
            elif self._content is not None:
                self._content.append(byte ^ ESCAPED if self._escaping else byte)
                self._escaping = False
        return frames

    def _frame(self):
        content = bytes(self._content or b"")
        if self._escaping or len(content) < 8 or len(content) % 4:
            return []
        if zlib.crc32(content[:-4]).to_bytes(4, "little") != content[-4:]:
            return []
        return [np.frombuffer(content[:-4], "<u4")]
