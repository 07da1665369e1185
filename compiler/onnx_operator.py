"""The operators that are read: a table that the modules with the reading functions fill."""

from collections.abc import Callable
from dataclasses import dataclass

from onnx import AttributeProto

__all__ = ["FLOAT", "INT", "INTS", "OPERATORS", "STRING", "TENSOR", "Operator", "operator"]

FLOAT = AttributeProto.FLOAT
INT, INTS = AttributeProto.INT, AttributeProto.INTS
STRING, TENSOR = AttributeProto.STRING, AttributeProto.TENSOR


@dataclass(frozen=True)
class Operator:
    """What is known of an operator.

    Members
    -------
    name, domain : str
    inputs : tuple of str
        Names of the inputs in order.
    optional : frozenset of str
        Those that may be left out, at the end or by an empty name.
    variadic : bool
        Whether the last one may come any number of times.
    sizes : frozenset of str
        Those that may be `compiler.onnx_values.Sizes`.
    attributes : dict of str to int
        Kind of every attribute, of ``AttributeProto.AttributeType``.
    mapped : str
        What the operator becomes, in a few words.
    limits : str
        What is asked of it beyond its definition, in a few words; may be empty.
    read : callable
        Takes a `Node`, returns the value of its output.
    """

    name: str
    domain: str
    inputs: tuple
    optional: frozenset
    variadic: bool
    sizes: frozenset
    attributes: dict
    mapped: str
    limits: str
    read: Callable

    @property
    def required(self):
        """How many inputs there must be."""
        return max((index + 1 for index, name in enumerate(self.inputs)
                    if name not in self.optional), default=0)

    @property
    def title(self):
        """Name, with the domain unless that is ONNX's own."""
        return f"{self.domain}.{self.name}" if self.domain else self.name


OPERATORS: dict[tuple[str, str], Operator] = {}
"""Every operator that is read, by domain and name."""


def operator(name, inputs, *, mapped, limits="", domain="", sizes="", **attributes):
    """Decorator: the function reads nodes of the operator ``name``.

    ``inputs`` are the names of its inputs, separated by spaces: those that may be absent end in
    "?", one that may come any number of times in "*". ``sizes`` are those of them that may be sizes
    of tensors, ``attributes`` their kinds by name.
    """
    names = inputs.split()

    def register(read):
        OPERATORS[domain, name] = Operator(
            name, domain, tuple(each.rstrip("?*") for each in names),
            frozenset(each[:-1] for each in names if each.endswith("?")),
            bool(names) and names[-1].endswith("*"), frozenset(sizes.split()), attributes, mapped,
            limits, read)
        return read
    return register
