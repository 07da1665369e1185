"""Protocol buffers as bytes, counted before they are parsed.

A parser makes an object of some hundred bytes from as little as two of a file. Counting what it
would make bounds its memory and time beforehand.
"""

import onnx

__all__ = ["count_parts"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def count_parts(content, limit):
    """Count the fields of an ONNX model, those of its nodes, tensors, ... included.

    Parameters
    ----------
    content : bytes
        Of a serialised ``ModelProto``, or of anything.
    limit : int
        Counting stops beyond it.

    Returns
    -------
    int
        Fields, at most ``limit`` + 1. Where the bytes are no such model it is any number: a parser
        stops there.
    """
    count, waiting = 0, [(onnx.ModelProto.DESCRIPTOR, 0, len(content))]
    while waiting:
        kind, place, end = waiting.pop()
        inner = {number << 3 | _BYTES: field.message_type
                 for number, field in kind.fields_by_number.items() if field.message_type}
        while place < end:
            count += 1
            if count > limit:
                return count
            tag = content[place]
            place += 1
            if tag > 127:
                tag, place = _varint(content, place - 1, end)
            wire = tag & 7
            if wire == _BYTES and place < end and content[place] < 128:
                length = content[place]  # By far the most frequent.
                place += 1
            else:
                length, place = _length(wire, content, place, end)
            if tag in inner and length:
                waiting.append((inner[tag], place, min(place + length, end)))
            place += length
    return count


def _varint(content, place, end):
    """An integer, and the place behind it: ``end`` if it is not all there."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= end:
            break
        byte = content[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    return 0, end


def _length(wire, content, place, end):
    """Bytes of a field's value and the place where they begin; the rest if there is no such
    field."""
    if wire == _VARINT:
        return _varint(content, place, end)[1] - place, place
    if wire == _BYTES:
        return _varint(content, place, end)
    return {_FIXED64: 8, _FIXED32: 4}.get(wire, end - place), place
