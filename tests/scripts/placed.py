"""Placed designs as nextpnr-ecp5 writes them, cells and delays, to refine."""

from collections import defaultdict

from scripts.refine.slices import Slices
from scripts.refine.timing import Timing

__all__ = ["assert_legal", "cell", "flip_flop", "length", "sdf", "table", "timing_of", "wires_of"]


def sdf(wires, tables=(), registers=(), carry=71):
    """SDF of wires ``(driver, port, load, port, delay)`` between tables, which take 236 ps, and
    registers, which take 525 ps and 100 ps of setup."""
    cells = [f'(CELL (CELLTYPE "TRELLIS_COMB")\n(INSTANCE {name})\n(DELAY (ABSOLUTE\n'
             f"(IOPATH A F (1:2:236) (1:2:236))\n(IOPATH FCI FCO (0:0:{carry}) (0:0:{carry}))\n)))"
             for name in tables]
    cells += [f'(CELL (CELLTYPE "TRELLIS_FF")\n(INSTANCE {name})\n(DELAY (ABSOLUTE\n'
              "(IOPATH CLK Q (430:477:525) (430:477:525))\n))\n(TIMINGCHECK\n"
              "(SETUPHOLD (posedge M) (posedge CLK) (0:50:100) (233:268:303))\n"
              "(SETUPHOLD (negedge M) (posedge CLK) (0:50:999) (233:268:303))\n))"
              for name in registers]
    lines = [f"(INTERCONNECT {driver}/{out} {load}/{into} (1:2:{delay}) (1:2:{delay}))"
             for driver, out, load, into, delay in wires]
    return "\n".join(["(DELAYFILE", "(CELL (INSTANCE )", *lines, ")", *cells, ")"])


def cell(kind, site, inputs=(), out=None, **settings):
    """A cell of nextpnr's JSON with inputs ``(port, bit)``."""
    port = {"TRELLIS_FF": "Q", "TRELLIS_COMB": "F", "TRELLIS_RAMW": "WDO0", "DP16KD": "DOA0"}[kind]
    connections = {name: [bit] for name, bit in inputs} | {port: [out] if out else []}
    return {"type": kind, "parameters": {"CLKMUX": "CLK", "LSRMUX": "LSR", "GSR": "DISABLED"}
            | settings, "attributes": {"NEXTPNR_BEL": site}, "connections": connections,
            "port_directions": {name: "output" if name == port else "input"
                                for name in connections}}


def flip_flop(tile, place, **signals):
    site = f"X{tile[0]}/Y{tile[1]}/SLICE{'ABCD'[place // 2]}.FF{place % 2}"
    return cell("TRELLIS_FF", site, [("CLK", 1), *signals.items()])


def table(tile, place, inputs=(), out=None, **settings):
    site = f"X{tile[0]}/Y{tile[1]}/SLICE{'ABCD'[place // 2]}.K{place % 2}"
    return cell("TRELLIS_COMB", site, inputs, out, **settings)


def assert_legal(cells):
    """Check what nextpnr demands of the places of flip-flops, of which routing shows only a part:
    one clock and reset in a tile, one enable in a slice, and like settings."""
    sites = [each["attributes"]["NEXTPNR_BEL"] for each in cells.values()]
    assert len(set(sites)) == len(sites)
    shared = defaultdict(set)
    for each in cells.values():
        tile, place = each["attributes"]["NEXTPNR_BEL"].rsplit("/", 1)
        if ".FF" in place:
            shared[tile].add(str([each["connections"].get(port) for port in ("CLK", "LSR")] + [
                each["parameters"].get(name, unset) for name, unset in (
                    ("CLKMUX", None), ("LSRMUX", "LSR"), ("SRMODE", "LSR_OVER_CE"))]))
            shared[tile, place[:6]].add(str([each["connections"].get("CE")] + [
                each["parameters"].get(name) for name in ("CEMUX", "GSR")]))
    assert all(len(found) == 1 for found in shared.values())


def wires_of(cells, delay):
    """The wires between ``cells``, which take ``delay(driver, load)``."""
    drivers = {bit: (name, port) for name, each in cells.items() for port in ("F", "Q")
               for bit in each["connections"].get(port, ())}
    return [(*drivers[bits[0]], load, port, delay(drivers[bits[0]][0], load))
            for load, each in cells.items() for port, bits in each["connections"].items()
            if port in ("A", "M") and bits and bits[0] in drivers]


def length(cells, rams=()):
    """A delay in proportion to the distance of two of ``cells``."""
    at = Slices(cells, rams).at

    def delay(driver, load):
        return 300 + 100 * sum(abs(a - b) for a, b in zip(at[driver], at[load], strict=True))
    return delay


def timing_of(cells):
    return Timing(sdf(wires_of(cells, length(cells)),
                      [name for name, each in cells.items() if each["type"] == "TRELLIS_COMB"],
                      [name for name, each in cells.items() if each["type"] == "TRELLIS_FF"]))
