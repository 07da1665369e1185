"""The one error a model file can cause, and the place it is reported at."""

from dataclasses import dataclass, replace

__all__ = ["ModelError", "Place", "quoted"]


class ModelError(ValueError):
    """A model file that is damaged, or that asks for something not supported.

    The message is one printable line, ``FILE: WHERE: WHAT; REMEDY``::

        digits.onnx: node 'conv3' (QLinearConv): attribute 'group' = 3 does not divide 32 input
        channels; export with a group that divides the channel count

    Parameters
    ----------
    file : str
        Name of the file, without its directories.
    where : str
        Node, tensor or graph the fault is in; empty when it is the file as a whole.
    what : str
        The fault, with the value found.
    remedy : str
        What to do about it.
    """

    def __init__(self, file, where, what, remedy):
        self.file, self.where, self.what, self.remedy = file, where, what, remedy
        parts = [part for part in (file, where, f"{what}; {remedy}") if part]
        line = " ".join(": ".join(parts).split())
        # Names in hostile files hold control characters, which a terminal would obey.
        super().__init__("".join(c if c.isprintable() else "?" for c in line))


@dataclass(frozen=True)
class Place:
    """Where in which file something is being read.

    Members
    -------
    file : str
        Name of the file, without its directories.
    where : str
        Node, tensor or graph; empty for the file as a whole.
    """

    file: str
    where: str = ""

    def at(self, where):
        """Return the place ``where`` in the same file."""
        return replace(self, where=where)

    def fault(self, what, remedy):
        """Return the `ModelError` that says ``what`` is wrong here and the ``remedy``."""
        return ModelError(self.file, self.where, what, remedy)


def quoted(name, *, limit=60):
    """Return ``name`` in quotes, cut to ``limit`` characters."""
    return repr(name if len(name) <= limit else f"{name[:limit]}…")
