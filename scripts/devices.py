"""Devices that a configuration can name, and how to place a design on each."""

from dataclasses import dataclass
from math import inf
from types import MappingProxyType

__all__ = ["DEVICES", "Device", "device_of"]


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device at one speed grade.

    Parameters
    ----------
    name : str
        What a configuration calls it.
    family : str
        ``ecp5``, ``ice40``, ``nexus`` or ``gowin``: which nextpnr, and which cells.
    synthesis : str
        Yosys command that maps to the family, without ``-top``.
    flip_flops : str
        Yosys commands for before flip-flops are mapped, if any.
    place : tuple of str
        Options by which nextpnr knows the device, package and speed grade.
    speed : str
        Speed grade, as reported.
    lut, ff, dsp, bram : int
        Look-up tables of four inputs, flip-flops, multiplier blocks (18×18 on ECP5, 16×16 on
        iCE40, 9×9 elsewhere) and block RAMs (18 kbit, 4 kbit on iCE40) of the device.
    dsp_ceiling, bram_ceiling : float
        MHz above which the data sheet no longer vouches for a multiplier or a block RAM, although
        nextpnr, which has no minimum clock periods, reports them; infinite if not known here.
    ask : float
        MHz to ask nextpnr for unless told otherwise: a little above what can be reached, since
        asking for far more makes results worse and takes longer.
    out_of_context : bool
        Whether nextpnr can place a block without pins. Where it cannot, the block goes into a
        :class:`hdl.scan.ScanWrapper`.
    pins : str
        Where nextpnr demands places for the wrapper's four ports: its file of them, with any.
    """

    name: str
    family: str
    synthesis: str
    place: tuple[str, ...]
    speed: str
    lut: int
    ff: int
    dsp: int
    bram: int
    dsp_ceiling: float
    bram_ceiling: float
    ask: float
    out_of_context: bool
    flip_flops: str = ""
    pins: str = ""

    @property
    def router(self):
        """Name of the tool that places and routes."""
        return "nextpnr-" + {"gowin": "himbaechel-gowin"}.get(self.family, self.family)


def _ecp5(name, size, **resources):
    return Device(name=name, family="ecp5", synthesis="synth_ecp5",
                  place=(f"--{size}", "--package", "CABGA381", "--speed", "6"), speed="6",
                  # Remembered of Lattice FPGA-DS-02012, register-to-register performance, grade 8:
                  # multiplier with all registers, true dual-port RAM with output registers.
                  dsp_ceiling=225.0, bram_ceiling=272.0, ask=205.0, out_of_context=True,
                  **resources)


def _ports(*sites):
    """Pair the wrapper's ports with sites of a package, which nothing is connected to."""
    return zip(("clk", "rst", "i", "o"), sites, strict=True)


#: The eight flip-flops of a tile of iCE40 share enable and reset. What fewer than nine would use
#: becomes logic, else nextpnr finds no place for some of a nearly full device. The first command
#: makes the kinds that there are, then those with equal resets can be known; the last one counts.
_KINDS = ("dfflegalize -cell $_DFF_?_ 0 -cell $_DFFE_?P_ 0 -cell $_DFF_?P?_ 0 -cell $_DFFE_?P?P_ 0"
          " -cell $_SDFF_?P?_ 0 -cell $_SDFFCE_?P?P_ 0")
_ICE40_FLIP_FLOPS = f"{_KINDS}; opt_merge; opt_clean; {_KINDS} -minsrst 9"


DEVICES = MappingProxyType({device.name: device for device in (
    Device(name="ice40up5k", family="ice40", synthesis="synth_ice40 -device u -dffe_min_ce_use 5",
           # A cell that has found no place in so many attempts would not find one in the hours
           # that nextpnr spends on it otherwise.
           place=("--up5k", "--package", "sg48", "--placer-heap-cell-placement-timeout", "10"),
           speed="up", flip_flops=_ICE40_FLIP_FLOPS,
           lut=5280, ff=5280, dsp=8, bram=30,
           # Remembered of Lattice FPGA-DS-02008, register-to-register performance.
           dsp_ceiling=50.0, bram_ceiling=150.0, ask=30.0, out_of_context=False),
    _ecp5("lfe5u-25f", "25k", lut=24288, ff=24288, dsp=28, bram=56),
    _ecp5("lfe5u-85f", "85k", lut=83640, ff=83640, dsp=156, bram=208),
    Device(name="lifcl-40", family="nexus", synthesis="synth_lattice -family lifcl",
           # Its usual router finds no way from a pin to the clock network.
           place=("--device", "LIFCL-40-9BG400C", "--router", "router1"), speed="9",
           lut=32256, ff=32256, dsp=112, bram=84,
           dsp_ceiling=inf, bram_ceiling=inf, ask=80.0, out_of_context=False,
           pins="".join(f"ldc_set_location -site {{{site}}} [get_ports {port}]\n"
                        for port, site in _ports("L13", "L16", "M14", "N14"))),
    Device(name="gw2a-18", family="gowin", synthesis="synth_gowin -family gw2a",
           place=("--device", "GW2A-LV18PG256C8/I7", "--vopt", "family=GW2A-18"), speed="C8/I7",
           lut=20736, ff=15552, dsp=96, bram=46,
           dsp_ceiling=inf, bram_ceiling=inf, ask=60.0, out_of_context=False,
           pins="".join(f'IO_LOC "{port}" {site};\n'
                        for port, site in _ports("H11", "T10", "R12", "N14"))),
)})


def device_of(config):
    """Return the :class:`Device` that ``config`` names.

    Raises
    ------
    ValueError
        If there is no such device, or it lacks the cells of the configuration's multiplier.
    """
    if config.device not in DEVICES:
        raise ValueError(f"Configuration device must be one of {', '.join(DEVICES)}, "
                         f"not {config.device!r}")
    device = DEVICES[config.device]
    if config.family not in ("portable", device.family):
        raise ValueError("Configuration multiplier must be portable or lut on "
                         f"{device.name}, not {config.multiplier!r}")
    return device
