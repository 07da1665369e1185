import struct
from types import SimpleNamespace

import pytest
import tflite

from compiler.flatbuffer import MAX_TABLES, DamagedBufferError, verify
from compiler.tflite_schema import SCHEMA
from tests.golden.refusal import refuses

#: A table with a byte, an int, a string, a vector of ints, one of tables, a union and an unknown.
PLAIN = {"Root": ("b", "i", "string", ["i"], ["Leaf"], "B", {1: "Leaf"}, None), "Leaf": ("i",)}


def pack(*words):
    return struct.pack(f"<{len(words)}i", *words)


def table(*offsets, size=8, content=()):
    """A file of one table: its fields' offsets, its size, its content."""
    slots = struct.pack(f"<{2 + len(offsets)}H", 4 + 2 * len(offsets), size, *offsets)
    slots += bytes(-len(slots) % 4)
    return pack(4 + len(slots)) + slots + pack(len(slots), *content)


def recorder(calls):
    """Stands for a builder of FlatBuffers: keeps what it is told of a field."""
    class Recorder:
        def __getattr__(self, name):
            return lambda *arguments: calls.append((name, arguments))
    return Recorder()


KINDS = {"b": "Int8", "B": "Uint8", "i": "Int32", "I": "Uint32", "Q": "Uint64", "f": "Float32",
         "?": "Bool"}


@pytest.mark.parametrize("name", SCHEMA)
def test_schema_is_that_of_the_package(name):
    counts = []
    getattr(tflite, f"{name}Start")(SimpleNamespace(StartObject=counts.append))
    assert counts == [len(SCHEMA[name])]
    seen = {}
    for function in dir(tflite):
        field = function.removeprefix(f"{name}Add")
        if function == field or not field[0].isupper():
            continue
        calls = []
        getattr(tflite, function)(recorder(calls), 0)
        (method, (slot, *_)), = calls
        kind = SCHEMA[name][slot]
        scalar = isinstance(kind, str) and len(kind) == 1
        assert method == (f"Prepend{KINDS[kind]}Slot" if scalar else "PrependUOffsetTRelativeSlot")
        vector = getattr(tflite, f"{name}Start{field}Vector", None)
        assert (vector is not None) == isinstance(kind, list) or kind is None
        if isinstance(kind, list):
            calls = []
            vector(recorder(calls), 1)
            item = kind[0]
            assert calls[0][1][0] == (struct.calcsize(item) if len(item) == 1 else 4)
        seen[slot] = field
    # Slots that the schema has given up have no function.
    assert set(range(len(SCHEMA[name]))) - seen.keys() <= ({3} if name == "SignatureDef" else set())


def test_accepts_sound_tables():
    verify(table(size=4), PLAIN, "Root")
    verify(table(0, 4, content=[7]), PLAIN, "Root")
    verify(table(4, content=[-1]), PLAIN, "Root")
    # An empty vector of ints; a string "ab".
    verify(table(0, 0, 0, 4, content=[4, 0]), PLAIN, "Root")
    verify(table(0, 0, 4, content=[4, 2, 0x6261]), PLAIN, "Root")
    # A union of a number that the schema does not know is left alone, like a field of None.
    verify(table(0, 0, 0, 0, 0, 8, 4, size=12, content=[4, 9, 0]), PLAIN, "Root")
    verify(table(0, 0, 0, 0, 0, 0, 0, 4, content=[4, 0]), PLAIN, "Root")


@pytest.mark.parametrize(("content", "message"), [
    (b"", "offset 0 is outside the file, or not aligned"),
    (pack(0), "the offset at 0 is zero"),
    (pack(3) + bytes(9), "offset 3 is outside the file, or not aligned"),
    (pack(400), "offset 400 is outside the file, or not aligned"),
    (pack(4, 400), "offset -396 is outside the file, or not aligned"),
    (pack(4, -4, 0), "table Root is cut off"),
    (table(0, 4, size=80, content=[7]), "table Root is cut off"),
    (table(0, 8, content=[7, 7]), "a field of table Root is outside it"),
    (table(0, 2, content=[7]), "a field of table Root is outside it"),
    (table(*[0] * 8, 4, content=[7]), "table Root has fields that its schema does not define"),
    (table(0, 5, size=12, content=[7, 7]), "offset 17 is outside the file, or not aligned"),
    (table(0, 0, 4, content=[4, 9, 0]), "a list is cut off"),
    (table(0, 0, 4, content=[4, 4, 0x64636261]), "a string does not end"),
    (table(0, 0, 4, content=[4, 1, 0x6261]), "a string does not end"),
    (table(0, 0, 0, 4, content=[4, 2, 0]), "a list is cut off"),
    (table(0, 0, 0, 4, content=[4, -1]), "a list is cut off"),
    (table(0, 0, 0, 0, 4, content=[4, 1, 99]), "offset 131 is outside the file, or not aligned"),
    (table(0, 0, 0, 0, 0, 8, 4, size=12, content=[99, 1]),
     "offset 127 is outside the file, or not aligned"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_refuses(content, message):
    with refuses(DamagedBufferError, message):
        verify(content, PLAIN, "Root")


def test_offsets_lead_forwards_only():
    """A table whose vector would lead back to itself, for ever."""
    content = bytearray(table(4, content=[4, 1, 0]))
    start = struct.unpack_from("<i", content)[0]
    back = (-12) % 2**32
    struct.pack_into("<I", content, start + 12, back)
    with refuses(DamagedBufferError, f"offset {start + 12 + back} is outside the file, or not "
                 "aligned"):
        verify(bytes(content), {"Node": (["Node"],)}, "Node")


def test_too_many_tables():
    """Four hundred offsets to one table of four hundred offsets to one table: a small file."""
    schema = {"Root": (["Middle"],), "Middle": (["Leaf"],), "Leaf": ()}
    count = 400
    items = [4, count, *[0] * count]
    root = table(4, content=items)
    # Without the offset in front, tables follow each other; each begins 8 bytes behind its slots.
    middle = table(4, content=items)[4:]
    content = bytearray(root + middle + table(size=4)[4:])
    for end, target in ((len(root), len(root) + 8), (len(root + middle), len(content) - 4)):
        for place in range(end - 4 * count, end, 4):
            struct.pack_into("<I", content, place, target - place)
    assert len(content) < 4000
    with refuses(DamagedBufferError, f"there are more than {MAX_TABLES} tables"):
        verify(bytes(content), schema, "Root")
