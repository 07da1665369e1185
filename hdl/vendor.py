"""Blocks made of the cells of one device family, and what they do in terms of any.

With :mod:`hdl.vendormemory`, which makes memories, and the Verilog beside it this module is all
that knows a vendor's cell by name. Each function adds to a module either a description that every
tool understands or, where Verilog is being written and the family has something better, a block
of ``vendor.v``. The two do the same in every cycle, and so does what simulators find in
``vendor.v`` in place of the cells.
"""

import re
from pathlib import Path

from amaranth import *

__all__ = ["FAMILIES", "PRODUCT_LATENCY", "accumulated_products", "accumulator_sum",
           "conditional_sum", "definitions", "registered", "registered_copies",
           "registered_product", "registered_products", "resized"]


#: Families of devices; ``portable`` is any.
FAMILIES = ("portable", "ecp5", "ice40")
#: Cycles that :func:`registered_product` and :func:`registered_products` take.
PRODUCT_LATENCY = 3

_BLOCKS = ("vendor.v", "vendorclock.v")
_ECP5_WIDTH = 18        # Bits of a factor of its DSP block.


def registered_product(m, platform, family, a, b, *, name):
    """Return ``a * b`` of :data:`PRODUCT_LATENCY` cycles ago.

    The registers are at the factors, inside the product, and behind it, as in a DSP block. On
    ECP5 it is one, if each factor fits 18 signed bits.

    Parameters
    ----------
    m, platform
        Module to add to, and what its ``elaborate`` was called with.
    family : str
        One of :data:`FAMILIES`.
    a, b : Value
        Factors.
    name : str
        Of the block in the netlist.
    """
    a, b = Value.cast(a), Value.cast(b)
    if platform is None or family != "ecp5":
        return registered(m, f"{name}_p3", registered(
            m, f"{name}_p2", registered(m, f"{name}_a", a) * registered(m, f"{name}_b", b)))
    # At the upper end of the block's factors: zeros below cost no wires, copies of a sign would.
    shape = (a * b).shape()
    inputs, shift = {}, 0
    for letter, value in (("a", a), ("b", b)):
        free = _ECP5_WIDTH - len(value) - (not value.shape().signed)
        inputs[f"i_{letter}"] = resized(m, f"{name}_{letter}", value.shift_left(free),
                                        signed(_ECP5_WIDTH))
        shift += free
    product = Signal(signed(2 * _ECP5_WIDTH), name=f"{name}_p")
    m.submodules[name] = Instance("celosia_ecp5_product", i_clk=ClockSignal(), **inputs,
                                  o_p=product)
    used = product[shift:shift + shape.width]
    return used.as_signed() if shape.signed else used


def registered_products(m, platform, family, factors, *, name):
    """Return one or two products, of :data:`PRODUCT_LATENCY` cycles ago, of 8-bit numbers.

    On iCE40 they are one DSP block; elsewhere each is by :func:`registered_product`.

    Parameters
    ----------
    m, platform, family, name
        As there.
    factors : sequence of one or two pairs of Value
        Signed numbers.
    """
    if platform is None or family != "ice40":
        return [registered_product(m, platform, family, a, b, name=f"{name}{index}")
                for index, (a, b) in enumerate(factors)]
    products = [Signal(signed(16), name=f"{name}_p{index}") for index in range(2)]
    pairs = [*factors, (C(0), C(0))][:2]
    inputs = {f"i_{letter}{index}": resized(m, f"{name}_{letter}{index}", value, signed(8))
              for index, pair in enumerate(pairs) for letter, value in zip("ab", pair, strict=True)}
    m.submodules[name] = Instance("celosia_ice40_products", i_clk=ClockSignal(), **inputs,
                                  o_p0=products[0], o_p1=products[1])
    return products[:len(factors)]


def accumulated_products(m, platform, family, factors, clear, *, name):
    """Return sums, modulo 2^16, of one or two products of 8-bit numbers and of those before them.

    A sum has taken in the factors of :data:`PRODUCT_LATENCY` cycles ago, unless ``clear`` was high
    in the cycle before: then it is zero. On iCE40 both are one DSP block.

    Parameters
    ----------
    m, platform, family, name
        As for :func:`registered_product`.
    factors : sequence of one or two pairs of Value
        Signed numbers.
    clear : Value, 1 bit
    """
    sums = [Signal(16, name=f"{name}_s{index}", reset_less=True) for index in range(2)]
    if platform is None or family != "ice40":
        for index, (total, (a, b)) in enumerate(zip(sums, factors, strict=False)):
            product = registered(m, f"{name}_p{index}", registered(m, f"{name}_a{index}", a)
                                  * registered(m, f"{name}_b{index}", b))
            m.d.sync += total.eq(Mux(clear, 0, total + product))
        return sums[:len(factors)]
    pairs = [*factors, (C(0), C(0))][:2]
    inputs = {f"i_{letter}{index}": resized(m, f"{name}_{letter}{index}", value, signed(8))
              for index, pair in enumerate(pairs) for letter, value in zip("ab", pair, strict=True)}
    m.submodules[name] = Instance("celosia_ice40_sums", i_clk=ClockSignal(), i_clear=clear,
                                  **inputs, o_s0=sums[0], o_s1=sums[1])
    return sums[:len(factors)]


def conditional_sum(m, platform, family, a, a_on, b, b_on, *, name, shape, carry=0):
    """Return ``(a if a_on else 0) + (b if b_on else 0) + carry``, of ``shape``; it may wrap.

    On ECP5 the tables of the carry chain hold the conditions: a digit of two bits times a number
    takes one cell for each bit of the number.

    Parameters
    ----------
    m, platform, family, name
        As for :func:`registered_product`.
    a, b : Value
        Addends.
    a_on, b_on, carry : Value, or int, of 1 bit
    shape : Shape
        Of the sum.
    """
    if platform is None or family != "ecp5":
        total = Signal(shape, name=f"{name}_sum")
        m.d.comb += total.eq(Mux(a_on, a, 0) + Mux(b_on, b, 0) + carry)
        return total
    return _ecp5_sum(m, a, a_on, b, b_on, name=name, shape=shape, carry=carry, b_off=0)


def accumulator_sum(m, platform, family, total, addend, first, *, name):
    """Return ``(0 if first else total) + addend``, of the shape of ``total``; it may wrap.

    On ECP5 the condition is in the tables of the carry chain; elsewhere it is a table behind the
    chain, which on iCE40 is the very one that makes the sum.

    Parameters
    ----------
    m, platform, family, name
        As for :func:`registered_product`.
    total : Signal
    addend : Value
    first : Value, 1 bit
    """
    if platform is None or family != "ecp5":
        result = Signal(total.shape(), name=f"{name}_sum")
        m.d.comb += result.eq(Mux(first, addend, total + addend))
        return result
    return _ecp5_sum(m, addend, 1, total, first, name=name, shape=total.shape(), carry=0, b_off=1)


def registered_copies(m, platform, family, value, count, *, name):
    """Return so many registers of ``value``, one for each part of the device that needs it near.

    On ECP5 they stay apart; elsewhere synthesis may make one of them.

    Parameters
    ----------
    m, platform, family, name
        As for :func:`registered_product`.
    value : Value
    count : int
    """
    copies = [Signal(value.shape(), name=f"{name}{index}", reset_less=True)
              for index in range(count)]
    for index, copy in enumerate(copies):
        if platform is None or family != "ecp5":
            m.d.sync += copy.eq(value)
        else:
            m.submodules[f"{name}{index}"] = Instance(
                "celosia_ecp5_register", p_WIDTH=len(value), i_clk=ClockSignal(), i_d=value,
                o_q=copy)
    return copies


def resized(m, name, value, shape):
    """Return a signal ``name`` of ``shape`` that has ``value``, cut or extended."""
    given = Signal(shape, name=name)
    m.d.comb += given.eq(value)
    return given


def registered(m, name, value, *, reset_less=True):
    """Return a register ``name`` of ``value``."""
    register = Signal(value.shape(), name=name, reset_less=reset_less)
    m.d.sync += register.eq(value)
    return register


def definitions(verilog):
    """Return the Verilog of the blocks that the text ``verilog`` has instances of."""
    known = "".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in _BLOCKS)
    blocks = re.finditer(r".*?^module (\w+).*?^endmodule\n", known, re.MULTILINE | re.DOTALL)
    return "".join(block[0] for block in blocks
                   if re.search(rf"^  {block[1]}\b", verilog, re.MULTILINE))


def _ecp5_sum(m, a, a_on, b, b_on, *, name, shape, carry, b_off):
    total = Signal(shape, name=f"{name}_sum")
    m.submodules[name] = Instance(
        "celosia_ecp5_sum", p_WIDTH=len(total), p_B_OFF=Const(b_off, 1),
        i_a=resized(m, f"{name}_a", a, shape), i_b=resized(m, f"{name}_b", b, shape),
        i_a_on=_bit(a_on), i_b_on=_bit(b_on), i_carry=_bit(carry), o_y=total)
    return total


def _bit(value):
    return Const(value, 1) if isinstance(value, int) else value
