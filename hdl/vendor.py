"""Blocks made of the cells of one device family, and what they do in terms of any.

This module and the Verilog beside it are all that knows a vendor's cell by name. Each function
adds to a module either a description that every tool understands or, where Verilog is being
written and the family has something better, a block of ``vendor.v``. The two do the same in every
cycle, and so does what simulators find in ``vendor.v`` in place of the cells.
"""

import re
from pathlib import Path

from amaranth import *
from amaranth.lib import memory

__all__ = ["FAMILIES", "PRODUCT_LATENCY", "accumulated_products", "accumulator_sum",
           "block_memory", "conditional_sum", "definitions", "ecp5_banks", "registered_copies",
           "registered_product", "registered_products", "single_port_memory"]


#: Families of devices; ``portable`` is any.
FAMILIES = ("portable", "ecp5", "ice40")
#: Cycles that :func:`registered_product` and :func:`registered_products` take.
PRODUCT_LATENCY = 3

_BLOCKS = ("vendor.v", "vendorclock.v")
_ECP5_WIDTH = 18        # Bits of a factor of its DSP block.
#: Words of a block RAM of ECP5, and how many bits each then has.
_ECP5_RAM = {16384: 1, 8192: 2, 4096: 4, 2048: 9, 1024: 18, 512: 36}
#: Block RAMs of ECP5 that take their addresses from the same registers.
_ECP5_SHARING = 16
#: Bits of a word that are chosen from the banks by one register.
_ECP5_CHOSEN = 16
#: Bits of a word from one block RAM, from which on they are likely to lie far from others.
_ECP5_WIDE = 9
#: Words of an SPRAM of iCE40, and bits that it can write alone.
_ICE40_RAM, _ICE40_NIBBLE = 16384, 4


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
        return _registered(m, f"{name}_p3", _registered(
            m, f"{name}_p2", _registered(m, f"{name}_a", a) * _registered(m, f"{name}_b", b)))
    # At the upper end of the block's factors: zeros below cost no wires, copies of a sign would.
    shape = (a * b).shape()
    inputs, shift = {}, 0
    for letter, value in (("a", a), ("b", b)):
        free = _ECP5_WIDTH - len(value) - (not value.shape().signed)
        inputs[f"i_{letter}"] = _resized(m, f"{name}_{letter}", value.shift_left(free),
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
    inputs = {f"i_{letter}{index}": _resized(m, f"{name}_{letter}{index}", value, signed(8))
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
            product = _registered(m, f"{name}_p{index}", _registered(m, f"{name}_a{index}", a)
                                  * _registered(m, f"{name}_b{index}", b))
            m.d.sync += total.eq(Mux(clear, 0, total + product))
        return sums[:len(factors)]
    pairs = [*factors, (C(0), C(0))][:2]
    inputs = {f"i_{letter}{index}": _resized(m, f"{name}_{letter}{index}", value, signed(8))
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


def block_memory(m, platform, family, ports):
    """Make the memory that :class:`hdl.blockmemory.BlockMemory` describes, between its ``ports``.

    On ECP5 the second register is the block RAM's own, which synthesis would not use, and the
    memory is as deep as block RAMs can be, so that few of them share a bit of the output; but many
    share an address, and some of them each have registers of their own for that. With registers in
    front nothing else drives a block RAM. Elsewhere synthesis finds the block RAM, and needs no
    logic for a word that is read while it is written.
    """
    if platform is None or family != "ecp5":
        _inferred_memory(m, family, ports)
        return

    banks = ecp5_banks(ports.depth)
    inputs = _ecp5_inputs(m, platform, ports, banks)
    words = [_ecp5_bank(m, platform, ports, inputs, index, count)
             for index, (_, count) in enumerate(banks)]
    if len(banks) == 1:
        m.d.comb += ports.read_data.eq(words[0])
        return
    # The address may have come from the first of the registers.
    chosen = [_bank_of(inputs["read_address"], banks)]
    for stage in range(ports.latency - ports.registered):
        chosen.append(Signal(range(len(banks)), name=f"bank{stage}", reset_less=True))
        with m.If(ports.read_en):
            m.d.sync += chosen[-1].eq(chosen[-2])
    # The bits of a word lie apart, so the last of these registers is there for a few bits each.
    starts = range(0, ports.width, _ECP5_CHOSEN)
    copies = registered_copies(m, platform, family, Mux(ports.read_en, chosen[-2], chosen[-1]),
                               len(starts), name="bank")
    m.d.comb += ports.read_data.eq(Cat(
        Array(word[start:start + _ECP5_CHOSEN] for word in words)[copy]
        for start, copy in zip(starts, copies, strict=True)))


def single_port_memory(m, platform, family, ports):
    """Make the memory that :class:`hdl.singleport.SinglePortMemory` describes, between its
    ``ports``; on iCE40 of SPRAMs."""
    part = ports.width // ports.parts
    if platform is None or family != "ice40" or part % _ICE40_NIBBLE:
        m.submodules.storage = storage = memory.Memory(shape=ports.width, depth=ports.depth,
                                                       init=[])
        write, read = storage.write_port(granularity=part), storage.read_port()
        m.d.comb += [
            write.addr.eq(ports.address), write.data.eq(ports.write_data),
            write.en.eq(Mux(ports.en, ports.write, 0)), read.addr.eq(ports.address),
            read.en.eq(ports.en & (ports.write == 0)), ports.read_data.eq(read.data),
        ]
        return

    banks = -(-ports.depth // _ICE40_RAM)
    inner = (_ICE40_RAM - 1).bit_length()
    nibbles = Signal(ports.width // _ICE40_NIBBLE)
    m.d.comb += nibbles.eq(Cat(bit.replicate(part // _ICE40_NIBBLE) for bit in ports.write))
    words = []
    for index in range(banks):
        given = Signal(ports.width, name=f"given{index}")
        here = ports.en if banks == 1 else ports.en & (ports.address[inner:] == index)
        m.submodules[f"bank{index}"] = Instance(
            "celosia_ice40_ram", p_NIBBLES=len(nibbles), i_clk=ClockSignal(),
            i_en=_resized(m, f"en{index}", here, 1), i_write=nibbles,
            i_address=_resized(m, f"address{index}", ports.address, inner),
            i_write_data=ports.write_data, o_read_data=given)
        words.append(given)
    chosen = Signal(range(max(2, banks)))
    with m.If(ports.en):
        m.d.sync += chosen.eq(ports.address[inner:])
    m.d.comb += ports.read_data.eq(Array(words)[chosen] if banks > 1 else words[0])


def ecp5_banks(depth):
    """Return the banks of a memory of ``depth`` words on ECP5: for each its first address and its
    words, the deepest first."""
    banks, start = [], 0
    while start < depth:
        words = next((words for words in _ECP5_RAM if words <= depth - start), min(_ECP5_RAM))
        banks.append((start, words))
        start += words
    return banks


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
        i_a=_resized(m, f"{name}_a", a, shape), i_b=_resized(m, f"{name}_b", b, shape),
        i_a_on=_bit(a_on), i_b_on=_bit(b_on), i_carry=_bit(carry), o_y=total)
    return total


def _inferred_memory(m, family, ports):
    m.submodules.storage = storage = memory.Memory(
        shape=ports.width, depth=ports.depth, init=[],
        attrs={"ram_style": "block", "no_rw_check": 1})
    write, read = storage.write_port(), storage.read_port()
    inputs = [(write.addr, ports.write_address), (write.data, ports.write_data),
              (write.en, ports.write_en), (read.addr, ports.read_address)]
    # On iCE40, whose block RAM is quick and whose registers are few, the second one is at the
    # address.
    early = family == "ice40" and not ports.registered
    if ports.registered:
        inputs = [(to, _registered(m, f"first{index}", value,
                                   reset_less=value is not ports.write_en))
                  for index, (to, value) in enumerate(inputs)]
        inputs = [(to, _registered(m, f"registered{index}", value))
                  for index, (to, value) in enumerate(inputs)]
    source = ports.read_address if early else read.data
    second = Signal(source.shape(), name="second", reset_less=True)
    if early:
        inputs[-1] = read.addr, second
    m.d.comb += [to.eq(value) for to, value in inputs]
    m.d.comb += [read.en.eq(ports.read_en), ports.read_data.eq(read.data if early else second)]
    with m.If(ports.read_en):
        m.d.sync += second.eq(source)


def _ecp5_inputs(m, platform, ports, banks):
    """Return what goes to the ``banks``, from the first registers if there are any: ``write_en``
    is a list of one for each."""
    write_en = []
    for start, words in banks:
        bits = (words - 1).bit_length()
        here = ports.write_address[bits:] == start >> bits if words < ports.depth else 1
        write_en.append(ports.write_en & here)
    inputs = {"write_address": ports.write_address, "write_data": ports.write_data}
    read_address = ports.read_address
    if ports.registered:
        write_en = [_registered(m, f"bank{index}_here", here, reset_less=False)
                    for index, here in enumerate(write_en)]
        # Other memories may be written from the same word, and lie far from this one.
        inputs = {port: registered_copies(m, platform, "ecp5", value, 1, name=f"first_{port}")[0]
                  for port, value in inputs.items()}
        read_address = _registered(m, "first_read_address", read_address)
    return {**inputs, "write_en": write_en, "read_address": read_address}


def _ecp5_bank(m, platform, ports, inputs, index, words):
    """Add a bank of block RAMs; return the word that it gives."""
    bits = (words - 1).bit_length()
    # Many block RAMs have registers of their own in front of them. Few give bits that lie far
    # apart, and have theirs behind.
    behind = ports.registered and words < ports.depth and _ECP5_RAM[words] >= _ECP5_WIDE
    parts = []
    most = _ECP5_SHARING * _ECP5_RAM[words]
    for part, low in enumerate(range(0, ports.width, most)):
        width = min(most, ports.width - low)
        name = f"bank{index}_{part}"
        own = {
            "write_en": inputs["write_en"][index],
            "write_data": inputs["write_data"][low:low + width],
            **{port: _resized(m, f"{name}_{port}", inputs[port], bits)
               for port in ("write_address", "read_address")},
        }
        if ports.registered and not behind:
            own = {port: registered_copies(m, platform, "ecp5", value, 1,
                                           name=f"{name}_{port}_copy")[0]
                   for port, value in own.items()}
        given = Signal(width, name=f"{name}_given")
        m.submodules[name] = Instance(
            "celosia_ecp5_bank", p_WIDTH=width, p_SLICE=_ECP5_RAM[words], p_ADDRESS=bits,
            i_clk=ClockSignal(), i_read_en=ports.read_en, o_read_data=given,
            **{f"i_{port}": value for port, value in own.items()})
        parts.append(given)
    word = Cat(parts)
    return _registered(m, f"bank{index}_word", word) if behind else word


def _bank_of(address, banks):
    """Return the index of the bank that an address lies in; beyond them all, any."""
    chosen = C(len(banks) - 1)
    for index, (start, words) in reversed(list(enumerate(banks[:-1]))):
        bits = (words - 1).bit_length()
        chosen = Mux(address[bits:] == start >> bits, index, chosen)
    return chosen


def _bit(value):
    return Const(value, 1) if isinstance(value, int) else value


def _resized(m, name, value, shape):
    resized = Signal(shape, name=name)
    m.d.comb += resized.eq(value)
    return resized


def _registered(m, name, value, *, reset_less=True):
    register = Signal(value.shape(), name=name, reset_less=reset_less)
    m.d.sync += register.eq(value)
    return register
