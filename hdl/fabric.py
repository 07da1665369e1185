"""Products made of look-up tables and carry chains, for where there is no DSP block to spend."""

from amaranth import *

from .vendor import conditional_sum

__all__ = ["counted_down", "counted_on", "counted_up", "fabric_latency", "fabric_product"]


def fabric_latency(b, *, paired=False):
    """Return the cycles that :func:`fabric_product` takes with ``b`` as its second factor."""
    levels = (_digits(b) - 1).bit_length()
    return max(levels, 1) if paired else 1 + levels


def counted_down(counter, reload, value):
    """Return ``value if reload else counter - 1``.

    It is one cell of iCE40 for each bit: the cell's table, which sees the carry chain and one more
    input, chooses by the very bit that the chain adds.
    """
    down = ~reload
    return Mux(down, counter + down.replicate(len(counter)), value)[:len(counter)]


def counted_up(counter, reload, value):
    """Return ``value if reload else counter + 1``, in as few cells."""
    return Mux(reload, value, counter + reload.replicate(len(counter)) + 1)[:len(counter)]


def counted_on(counter, reload, value, step):
    """Return ``value if reload else counter + step``, the step being 1 or -1.

    It is one half of a carry cell of ECP5 for each bit, which adds what its own table has chosen.
    """
    size = len(counter)
    if step > 0:
        return (Mux(reload, value, counter)[:size] + ~reload)[:size]
    return (Mux(reload, value, counter)[:size] + (~reload).replicate(size))[:size]


def fabric_product(m, platform, family, a, b, *, name, paired=False):
    """Return ``a * b`` of :func:`fabric_latency` cycles ago: both signed, or both unsigned.

    A first cycle makes the multiple of ``a`` for every digit of two bits of ``b``, and each that
    follows adds them in pairs.

    Parameters
    ----------
    m, platform, family
        As for :func:`hdl.vendor.registered_product`.
    a, b : Value
        Factors; ``b`` has an even number of bits.
    name : str
        Of what is added to the module.
    paired : bool
        Whether the first cycle also adds the first pairs, which takes fewer flip-flops, and two
        carry chains one after the other.
    """
    a, b = Value.cast(a), Value.cast(b)
    if a.shape().signed != b.shape().signed or len(b) % 2:
        raise ValueError("Factors must be both signed or both unsigned, the second of an even "
                         f"number of bits, not {a.shape()!r} and {b.shape()!r}")
    terms = []
    for digit in range(_digits(b)):
        low, high = b[2 * digit], b[2 * digit + 1]
        shape = Shape(len(a) + 2, signed=a.shape().signed)
        twice, carry = a << 1, 0
        if shape.signed and digit + 1 == _digits(b):
            # The topmost bit counts negative: minus a number is its complement and one.
            twice, carry = ~twice, high
        terms.append(conditional_sum(m, platform, family, a, low, twice, high, carry=carry,
                                     shape=shape, name=f"{name}_{digit}"))
    if not paired or len(terms) == 1:
        terms = [_registered(m, f"{name}_0_{digit}", term) for digit, term in enumerate(terms)]

    level, shift = 0, 2
    while len(terms) > 1:
        level += 1
        pairs = [_sum(*terms[index:index + 2], shift) if index + 1 < len(terms) else terms[index]
                 for index in range(0, len(terms), 2)]
        terms = [_registered(m, f"{name}_{level}_{index}", pair)
                 for index, pair in enumerate(pairs)]
        shift *= 2
    product = terms[0][:len(a) + len(b)]
    return product.as_signed() if a.shape().signed else product


def _digits(b):
    return len(b) // 2


def _registered(m, name, value):
    register = Signal.like(value, name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


def _sum(low, high, shift):
    """Return ``low + high * 2^shift``; the carry chain begins where both have bits."""
    total = Cat(low[:shift], (low >> shift) + high)
    return total.as_signed() if low.shape().signed else total
