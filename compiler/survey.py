"""What a model maps to, node by node."""

from dataclasses import dataclass

from compiler.errors import ModelError
from compiler.model import Model

__all__ = ["Row", "Survey"]


@dataclass(frozen=True)
class Row:
    """One node of a model file.

    Members
    -------
    node : str
        Its name in messages and tables.
    operator : str
        As the format calls it.
    mapped_to : str or None
        What it becomes, in a few words; None if it is refused.
    reason : str or None
        Why it is refused, and the remedy; None if it is not.
    layer_names : tuple of str
        Layers of the network that compute it; none for what the host does, or nobody.
    """

    node: str
    operator: str
    mapped_to: str | None
    reason: str | None
    layer_names: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """Every node of a model file.

    Members
    -------
    file : str
        Name of the file, without its directories.
    rows : tuple of Row
        In the order of the file.
    model : Model or None
        None if anything is refused.
    faults : tuple of ModelError
        What is refused, in order; none if there is a model.
    """

    file: str
    rows: tuple[Row, ...]
    model: Model | None
    faults: tuple[ModelError, ...] = ()
