"""What TFLite's tensors are while a graph is read, and how they lie in the network's."""

from dataclasses import dataclass, field, replace

from golden.quantisation import Quantisation

__all__ = ["Extent", "Value", "natural"]


@dataclass(eq=False)
class Extent:
    """Height, width and channels of tensors of the network, once they are known.

    TFLite tensors lie in the network's as they are, channels last, or turned, channels first.
    The model's input, and what is computed element by element from it, take whatever sizes their
    first reader needs, since the host brings them into that form.

    Members
    -------
    sizes : (int, int, int) or None
        (H, W, C); None while it is open.
    turned : bool
        Whether values that have not been transposed are channels first.
    """

    sizes: tuple | None = None
    turned: bool = False

    def settle(self, sizes, *, turned=False):
        """Give the sizes, unless they are known."""
        if self.sizes is None:
            self.sizes, self.turned = tuple(sizes), turned


@dataclass(frozen=True, eq=False, kw_only=True)
class Value:
    """What is known of a TFLite tensor that an operator makes, or the user gives.

    Members
    -------
    shape : tuple of ints
        As TFLite has it, with the first axis, which counts frames.
    source : str or None
        Tensor of the network that holds its elements; None for the model's float input before
        it is quantised.
    quantisation : Quantisation or None
        None for real values.
    extent : Extent
        Of ``source``.
    turned : bool
        Whether it has been transposed, from channels first to last or back, an odd number of times.
    host : tuple of callables, or None
        What the host does to the elements of ``source`` to get these; None if nobody on the host
        has touched them.
    """

    shape: tuple
    source: str | None
    quantisation: Quantisation | None
    extent: Extent = field(default_factory=Extent)
    turned: bool = False
    host: tuple | None = None

    @property
    def is_real(self):
        """Whether it holds float32 numbers rather than codes."""
        return self.quantisation is None

    @property
    def straight(self):
        """Whether its elements are in the order (H, W, C); an open extent makes them so."""
        return self.turned == self.extent.turned

    def reshaped(self, shape):
        """The same elements in the same order with other sizes."""
        return replace(self, shape=tuple(shape))


def natural(shape):
    """(H, W, C) of a TFLite shape with an axis of frames, for an operator that takes any."""
    *outer, height, width, channels = (1, 1, 1, *shape[1:])
    for size in outer:
        height *= size
    return height, width, channels
