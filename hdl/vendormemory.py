"""Memories made of the cells of one device family, as :mod:`hdl.vendor` makes arithmetic."""

from amaranth import *
from amaranth.lib import memory

from .vendor import registered, registered_copies, resized

__all__ = ["block_memory", "ecp5_banks", "single_port_memory"]


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
            i_en=resized(m, f"en{index}", here, 1), i_write=nibbles,
            i_address=resized(m, f"address{index}", ports.address, inner),
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
        inputs = [(to, registered(m, f"first{index}", value,
                                   reset_less=value is not ports.write_en))
                  for index, (to, value) in enumerate(inputs)]
        inputs = [(to, registered(m, f"registered{index}", value))
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
        write_en = [registered(m, f"bank{index}_here", here, reset_less=False)
                    for index, here in enumerate(write_en)]
        # Other memories may be written from the same word, and lie far from this one.
        inputs = {port: registered_copies(m, platform, "ecp5", value, 1, name=f"first_{port}")[0]
                  for port, value in inputs.items()}
        read_address = registered(m, "first_read_address", read_address)
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
            **{port: resized(m, f"{name}_{port}", inputs[port], bits)
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
    return registered(m, f"bank{index}_word", word) if behind else word


def _bank_of(address, banks):
    """Return the index of the bank that an address lies in; beyond them all, any."""
    chosen = C(len(banks) - 1)
    for index, (start, words) in reversed(list(enumerate(banks[:-1]))):
        bits = (words - 1).bit_length()
        chosen = Mux(address[bits:] == start >> bits, index, chosen)
    return chosen
