"""What FlatBuffers' own verifier checks, which its library for Python lacks."""

import struct

__all__ = ["DamagedBufferError", "verify"]

MAX_TABLES = 1 << 17
"""The most tables that are looked at: a sound file shares few, a hostile one might share all."""


class DamagedBufferError(ValueError):
    """An offset, a length or a field is not what the schema demands."""


def verify(content, schema, root):
    """Check that every table, vector and string of a file lies in it, aligned.

    After that, accessors that trust the file read nothing else. Tables and lists may be shared,
    as FlatBuffers allows.

    Parameters
    ----------
    content : bytes
    schema : dict of str to tuple
        For each table, the kind of every field in the order of its slots: a format of
        :mod:`struct` for a scalar; "string"; the name of another table; a list of either of these
        or of a scalar for a vector; a dict for a union, of the number that the field before it
        holds, to the name of the table; None for a table or vector that nobody reads, and which
        is not looked into, as are unions of other numbers.
    root : str
        Name of the table that the file begins with.

    Raises
    ------
    DamagedBufferError
        If something is not as it should be, or a table has a field beyond those of the schema.
    """
    _Verifier(content, schema).table(root, 0)


class _Verifier:
    def __init__(self, content, schema):
        self.content, self.schema, self.tables = content, schema, 0

    def scalar(self, kind, place):
        """The number at ``place``, aligned to its size."""
        size = struct.calcsize(kind)
        if place % size or place < 0 or place + size > len(self.content):
            raise DamagedBufferError(f"offset {place} is outside the file, or not aligned")
        return struct.unpack_from(f"<{kind}", self.content, place)[0]

    def target(self, place):
        """Where the offset at ``place`` leads."""
        offset = self.scalar("I", place)
        if not offset:
            raise DamagedBufferError(f"the offset at {place} is zero")
        return place + offset

    def table(self, kind, place):
        """The table that the offset at ``place`` leads to."""
        self.tables += 1
        if self.tables > MAX_TABLES:
            raise DamagedBufferError(f"there are more than {MAX_TABLES} tables")
        fields = self.schema[kind]
        start = self.target(place)
        slots = start - self.scalar("i", start)
        length, size = self.scalar("H", slots), self.scalar("H", slots + 2)
        if length < 4 or length % 2 or size < 4 or start + size > len(self.content):
            raise DamagedBufferError(f"table {kind} is cut off")
        offsets = [self.scalar("H", slots + 4 + 2 * slot) for slot in range(length // 2 - 2)]
        if any(offsets[len(fields):]):
            raise DamagedBufferError(f"table {kind} has fields that its schema does not define")
        number = 0
        for field, offset in zip(fields, offsets, strict=False):
            if not offset:
                number = 0
                continue
            width = struct.calcsize(field) if _is_scalar(field) else 4
            if offset < 4 or offset + width > size:
                raise DamagedBufferError(f"a field of table {kind} is outside it")
            if isinstance(field, dict):
                field = field.get(number)
            number = self.field(field, start + offset)

    def field(self, field, place):
        """A field at ``place``; its value if it is a scalar, else 0."""
        if _is_scalar(field):
            return self.scalar(field, place)
        if field is None:
            self.scalar("i", self.target(place))
        elif field == "string":
            self.string(place)
        elif isinstance(field, list):
            self.vector(field[0], place)
        else:
            self.table(field, place)
        return 0

    def string(self, place):
        """The string that the offset at ``place`` leads to, with a zero behind it."""
        end = self.list_end(place, 1)
        if end >= len(self.content) or self.content[end]:
            raise DamagedBufferError("a string does not end")

    def vector(self, item, place):
        """The vector that the offset at ``place`` leads to."""
        size = struct.calcsize(item) if _is_scalar(item) else 4
        end = self.list_end(place, size)
        start = self.target(place) + 4
        if start % size:
            raise DamagedBufferError("a vector is not aligned")
        if not _is_scalar(item):
            for each in range(start, end, 4):
                self.field(item, each)

    def list_end(self, place, size):
        """Where the items of a string or vector end."""
        start = self.target(place)
        end = start + 4 + size * self.scalar("I", start)
        if end > len(self.content):
            raise DamagedBufferError("a list is cut off")
        return end


def _is_scalar(field):
    return isinstance(field, str) and len(field) == 1
