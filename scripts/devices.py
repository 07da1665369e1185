"""Devices that a configuration can name, and how to place a design on each."""

from dataclasses import dataclass
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
        ``ecp5`` or ``ice40``: which nextpnr, and which cells.
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
        iCE40) and block RAMs (18 kbit on ECP5, 4 kbit on iCE40) of the device.
    dsp_ceiling, bram_ceiling : float
        MHz above which the data sheet no longer vouches for a multiplier or a block RAM, although
        nextpnr, which has no minimum clock periods, reports them.
    ask : float
        MHz to ask nextpnr for unless told otherwise: a little above what can be reached, since
        asking for far more makes results worse and takes longer.
    out_of_context : bool
        Whether nextpnr can place a block without pins. Where it cannot, the block goes into a
        :class:`hdl.scan.ScanWrapper`.
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

    @property
    def router(self):
        """Name of the tool that places and routes."""
        return f"nextpnr-{self.family}"


def _ecp5(name, size, **resources):
    return Device(name=name, family="ecp5", synthesis="synth_ecp5",
                  place=(f"--{size}", "--package", "CABGA381", "--speed", "6"), speed="6",
                  # Remembered of Lattice FPGA-DS-02012, register-to-register performance, grade 8:
                  # multiplier with all registers, true dual-port RAM with output registers.
                  dsp_ceiling=225.0, bram_ceiling=272.0, ask=150.0, out_of_context=True,
                  **resources)


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
           place=("--up5k", "--package", "sg48", "--placer-heap-cell-placement-timeout", "100"),
           speed="up", flip_flops=_ICE40_FLIP_FLOPS,
           lut=5280, ff=5280, dsp=8, bram=30,
           # Remembered of Lattice FPGA-DS-02008, register-to-register performance.
           dsp_ceiling=50.0, bram_ceiling=150.0, ask=30.0, out_of_context=False),
    _ecp5("lfe5u-25f", "25k", lut=24288, ff=24288, dsp=28, bram=56),
    _ecp5("lfe5u-85f", "85k", lut=83640, ff=83640, dsp=156, bram=208),
)})


def device_of(config):
    """Return the :class:`Device` that ``config`` names.

    Raises
    ------
    ValueError
        If there is no such device.
    """
    if config.device not in DEVICES:
        raise ValueError(f"Configuration device must be one of {', '.join(DEVICES)}, "
                         f"not {config.device!r}")
    return DEVICES[config.device]
