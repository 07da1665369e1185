"""What is done to a netlist of Yosys before nextpnr takes it."""

__all__ = ["cells_of", "open_carries", "pin", "trim"]


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
