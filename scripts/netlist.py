"""What is done to a netlist of Yosys before nextpnr takes it."""

__all__ = ["cells_of", "enable_locally", "open_carries", "pin", "repeat_addresses", "trim"]


#: Bits that nothing drives.
_CONSTANTS = {"0", "1", "x"}
#: Distributed RAM of ECP5: sixteen words of four bits.
_MEMORY = "TRELLIS_DPR16X4"
#: Memories that one table enables; they take four wires each.
_ENABLED = 8


def cells_of(netlist, kind):
    """Return the names of the cells of type ``kind``."""
    return [name for name, cell in _cells(netlist) if cell["type"] == kind]


def pin(netlist, places):
    """Give cells their sites; return how many.

    Parameters
    ----------
    netlist : dict
        As read from JSON; it is changed.
    places : dict
        Names of cells, as they end, to names of sites. Those of no cell are passed over.
    """
    pinned = 0
    for name, cell in _cells(netlist):
        parts = name.split(".")
        for start in range(len(parts)):
            if site := places.get(".".join(parts[start:])):
                cell["attributes"]["BEL"] = site
                pinned += 1
    return pinned


def trim(netlist):
    """Cut carry outputs of ECP5 that nobody reads off their cells; return how many.

    For each of them nextpnr would add two cells that bring it into the fabric.

    Parameters
    ----------
    netlist : dict
        As read from JSON; it is changed.
    """
    read = {bit for module in netlist["modules"].values() for port in module["ports"].values()
            for bit in port["bits"]}
    read |= {bit for _, cell in _cells(netlist) for port, bits in cell["connections"].items()
             if cell["port_directions"].get(port) != "output" for bit in bits}
    trimmed = 0
    for _, cell in _cells(netlist):
        if cell["type"] == "CCU2C" and read.isdisjoint(cell["connections"]["COUT"]):
            # Unknown, not absent, which nextpnr does not survive.
            cell["connections"]["COUT"] = ["x"]
            trimmed += 1
    return trimmed


def repeat_addresses(netlist):
    """Connect bits of addresses of ECP5's distributed RAM that are constant, since a memory has
    fewer words than a cell, to another bit of the same address; return of how many cells.

    nextpnr takes all constants from two tables, and those for memory by wires, thousands across the
    whole device. They keep others from theirs, and its router routes them again and again.

    Parameters
    ----------
    netlist : dict
        As read from JSON; it is changed.
    """
    changed = 0
    for _, cell in _cells(netlist):
        if cell["type"] != _MEMORY:
            continue
        addresses = [cell["connections"][port] for port in ("RAD", "WAD")]
        pairs = list(zip(*addresses, strict=True))
        spare = [bit for bit, pair in enumerate(pairs) if pair == ("0", "0")]
        used = next((bit for bit, pair in enumerate(pairs) if _CONSTANTS.isdisjoint(pair)), None)
        if not spare or used is None:
            continue
        for address in addresses:
            for bit in spare:
                address[bit] = address[used]
        cell["parameters"]["INITVAL"] = _repeated(cell["parameters"]["INITVAL"], spare, used)
        changed += 1
    return changed


def _repeated(contents, spare, used):
    """Return the contents of a memory, last word first, where bits ``spare`` of all addresses were
    0 and become like bit ``used``."""
    words = [contents[60 - 4 * word:64 - 4 * word] for word in range(16)]
    mask = sum(1 << bit for bit in spare)
    found = [words[word & ~mask] if word & mask == (mask if word >> used & 1 else 0) else "xxxx"
             for word in range(16)]
    return "".join(reversed(found))


def enable_locally(netlist):
    """Let distributed RAM of ECP5 that is always enabled have that from tables among it, for the
    same reason as :func:`repeat_addresses`; return how many.

    Parameters
    ----------
    netlist : dict
        As read from JSON; it is changed.
    """
    tables = 0
    for module in netlist["modules"].values():
        enabled = sorted(name for name, cell in module["cells"].items()
                         if cell["type"] == _MEMORY and cell["connections"]["WRE"] == ["1"])
        fresh = 1 + max((bit for net in module["netnames"].values() for bit in net["bits"]
                         if isinstance(bit, int)), default=0) if enabled else 0
        for first in range(0, len(enabled), _ENABLED):
            # Cells beside each other by their names are of one memory.
            cells = enabled[first:first + _ENABLED]
            name, bit = f"{cells[0]}$enable", fresh + first
            module["cells"][name] = _one(bit)
            # Yosys takes no cell and net of one name.
            module["netnames"][f"{name}$Z"] = {"hide_name": 0, "bits": [bit], "attributes": {}}
            for each in cells:
                module["cells"][each]["connections"]["WRE"] = [bit]
            tables += 1
    return tables


def _one(bit):
    """Return a table that makes ``bit`` one."""
    return {"hide_name": 0, "type": "LUT4", "parameters": {"INIT": 16 * "1"}, "attributes": {},
            "port_directions": dict.fromkeys("ABCD", "input") | {"Z": "output"},
            "connections": {port: ["0"] for port in "ABCD"} | {"Z": [bit]}}


def open_carries(netlist):
    """Cut the constant off the carry inputs of Nexus that nothing else drives; return how many.

    Yosys leaves them open where a chain begins, and in the end ties whatever is open to a constant,
    which nextpnr-nexus takes for the carry out of another cell.

    Parameters
    ----------
    netlist : dict
        As read from JSON; it is changed.
    """
    constant = {bit for _, cell in _cells(netlist) if cell["type"] in ("VLO", "VHI")
                for bit in cell["connections"]["Z"]}
    begins = [cell["connections"] for _, cell in _cells(netlist) if cell["type"] == "CCU2"
              and not constant.isdisjoint(cell["connections"].get("CIN", ()))]
    for connections in begins:
        del connections["CIN"]
    return len(begins)


def _cells(netlist):
    return [item for module in netlist["modules"].values() for item in module["cells"].items()]
