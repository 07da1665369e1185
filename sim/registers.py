"""Access to the registers by name, over any bus: the Python face of :mod:`hdl.registers`."""

from hdl.registers import REGISTERS

__all__ = ["Registers"]


class Registers:
    """The registers behind two functions of a bus.

    Parameters
    ----------
    read : function of (offset) to int
    write : function of (offset, value)
    """

    _map = {register.name: register for register in REGISTERS}

    def __init__(self, read, write):
        self._read_word = read
        self._write_word = write

    def read(self, name):
        """Return the fields of register ``name`` in a dictionary."""
        return self.decode(name, self._read_word(self.offset(name)))

    def write(self, name, **fields):
        """Write register ``name``; fields that are left out are written as zero."""
        self._write_word(self.offset(name), self.encode(name, **fields))

    def cycles(self):
        """Return the cycles of the present or last program."""
        low = self.read("CYCLES_LOW")["cycles"]
        return low | self.read("CYCLES_HIGH")["cycles"] << 32

    @classmethod
    def offset(cls, name):
        """Return the byte offset of register ``name``.

        Raises
        ------
        KeyError
            If there is none.
        """
        return cls._map[name].offset

    @classmethod
    def decode(cls, name, word):
        """Return the fields of a word that was read from register ``name``."""
        return {field.name: word >> field.low & (1 << field.width) - 1
                for field in cls._map[name].fields}

    @classmethod
    def encode(cls, name, **fields):
        """Return the word to write to register ``name``.

        Raises
        ------
        ValueError
            If a field does not exist, or a value does not fit it.
        """
        known = {field.name: field for field in cls._map[name].fields}
        word = 0
        for key, value in fields.items():
            if key not in known:
                raise ValueError(f"Register {name} has no field {key!r}")
            if not 0 <= value < 1 << known[key].width:
                raise ValueError(f"Register {name} field {key} must be 0 to "
                                 f"{(1 << known[key].width) - 1}, not {value}")
            word |= value << known[key].low
        return word
