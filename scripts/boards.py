"""Boards that a bitstream can be for: device, oscillator, pins, and how to pack it."""

import importlib
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from hdl.boardtop import BoardTop
from hdl.clocks import PLLS
from scripts.devices import DEVICES

__all__ = ["BOARDS", "Board"]


#: Bits a second of every board's line.
BAUD = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board, and which engine it gets.

    Parameters
    ----------
    name, title : str
        For the command line, and for people.
    platform : str
        Module and class of ``amaranth_boards`` that knows its pins.
    config : str
        Configuration that it gets unless another is named.
    device : str
        Of :data:`scripts.devices.DEVICES`, whose cells it has.
    place : tuple of str
        nextpnr's options for the very device, its package and grade.
    speed : str
        That grade.
    mhz : int
        The engine's clock, unless another is asked for.
    led : str
        The light that shows that the engine runs: a resource, or a resource and its part.
    serial : tuple of str, or None
        Pins of the serial line, from and to the host, where the platform has none, as
        ``connector_number:pin``.
    pack : tuple of str
        Options of the tool that packs the bitstream.
    load : str
        Command of another project that loads it.
    """

    name: str
    title: str
    platform: str
    config: str
    device: str
    place: tuple[str, ...]
    speed: str
    mhz: int
    led: str
    load: str
    serial: tuple[str, str] | None = None
    pack: tuple[str, ...] = ()

    def device_for(self, config):
        """Return the device with the board's own package and grade.

        Raises
        ------
        ValueError
            If ``config`` is for another device.
        """
        if config.device != self.device:
            raise ValueError(f"{config.name} is for {config.device}, and {self.name} has "
                             f"{self.device}; leave out --config for {self.config}, or take a "
                             "configuration with that device")
        return replace(DEVICES[self.device], place=self.place, speed=self.speed)

    def top(self, config, mhz=None):
        """Return the design: the engine of ``config`` at ``mhz``.

        Raises
        ------
        ValueError
            If the board's device cannot make that frequency, or the line's bits are not whole
            numbers of cycles.
        """
        mhz = Fraction(mhz or self.mhz)
        divisor = mhz * 1_000_000 / BAUD
        if divisor.denominator > 1 or divisor < 4:
            raise ValueError(f"The clock must be a whole number of MHz, at least 4, for a line of "
                             f"{BAUD} baud, not {float(mhz):g}")
        family = DEVICES[self.device].family
        return BoardTop(config, pll=PLLS[family](self._oscillator()[1], mhz),
                        divisor=int(divisor), led_low=self._led()[2])

    def constraints(self):
        """Return the text of nextpnr's file of constraints: LPF for ECP5, PCF for iCE40."""
        clock, mhz = self._oscillator()
        rx, tx = self._serial()
        ports = {"oscillator": clock, "rx": rx, "tx": tx, "led": self._led()[:2]}
        if DEVICES[self.device].family == "ice40":
            lines = [f"set_io {port} {pin}" for port, (pin, _) in ports.items()]
            return "\n".join([*lines, f"set_frequency oscillator {float(mhz):g}", ""])
        lines = []
        for port, (pin, attributes) in ports.items():
            lines.append(f'LOCATE COMP "{port}" SITE "{pin}";')
            settings = " ".join(f"{name}={value}" for name, value in attributes.items())
            lines.append(f'IOBUF PORT "{port}" {settings};')
        return "\n".join([*lines, f'FREQUENCY PORT "oscillator" {float(mhz):g} MHZ;', ""])

    def _described(self):
        """An instance of the platform."""
        module, name = self.platform.rsplit(".", 1)
        return getattr(importlib.import_module(f"amaranth_boards.{module}"), name)()

    def _oscillator(self):
        """Pin and attributes of the oscillator, and its frequency in MHz."""
        platform: Any = self._described()
        name = platform.default_clk
        frequency = platform.lookup(name).clock.frequency
        return self._resource(name)[:2], Fraction(frequency) / 1_000_000

    def _serial(self):
        """Pins and attributes of the line from the host and the line to it."""
        if self.serial is None:
            return self._resource("uart", "rx")[:2], self._resource("uart", "tx")[:2]
        pins = {name: pin for connector in self._described().connectors.values()
                for name, pin in connector}
        return tuple((pins[name], {"IO_TYPE": "LVCMOS33"}) for name in self.serial)

    def _led(self):
        return self._resource(*self.led.split("."))

    def _resource(self, name, part=None):
        """Pin and attributes of a resource, or of a part of it, and whether it is low if active."""
        platform = self._described()
        resource = platform.lookup(name)
        content = resource.ios
        attributes = dict(resource.attrs)
        if part is not None:
            chosen = next(each for each in content if each.name == part)
            content, attributes = chosen.ios, attributes | dict(chosen.attrs)
        pins = content[0]
        # Some attributes depend on how the board is wired.
        values = {key: value(platform) if callable(value) else value
                  for key, value in attributes.items()}
        return pins.names[0], values, pins.invert


def _ecp5(**values):
    return Board(pack=("--compress",), **values)


BOARDS = MappingProxyType({board.name: board for board in (
    Board(name="icebreaker", title="iCEBreaker", platform="icebreaker.ICEBreakerPlatform",
          config="icebreaker", device="ice40up5k", place=DEVICES["ice40up5k"].place, speed="up",
          mhz=24, led="led", load="iceprog {}"),
    *(_ecp5(name=f"ulx3s-{size}", title=f"ULX3S {size.upper()}", config=config, device=device,
            platform=f"ulx3s.ULX3S_{size.upper()}_Platform", speed="6", mhz=50, led="led",
            place=(f"--{option}", "--package", "CABGA381", "--speed", "6"),
            load="openFPGALoader -b ulx3s {}")
      for size, option, config, device in (("12f", "12k", "ecp5-25f", "lfe5u-25f"),
                                           ("25f", "25k", "ecp5-25f", "lfe5u-25f"),
                                           ("85f", "85k", "ecp5-85f", "lfe5u-85f"))),
    # It has no USB bridge: an adapter of 3.3 V is at pins 0 and 1, as Feathers have them.
    _ecp5(name="orangecrab-25f", title="OrangeCrab 25F r0.2",
          platform="orangecrab_r0_2.OrangeCrabR0_2_25FPlatform", config="ecp5-25f",
          device="lfe5u-25f", place=("--25k", "--package", "CSFBGA285", "--speed", "8"),
          speed="8", mhz=48, led="rgb_led.g", serial=("io_0:0", "io_0:1"),
          load="dfu-util -a 0 -D {}"),
    # Its device has transceivers, which nobody uses here, and is of grade 8 alone.
    _ecp5(name="ecp5-evn", title="ECP5-5G Evaluation Board",
          platform="ecp5_5g_evn.ECP55GEVNPlatform", config="ecp5-85f", device="lfe5u-85f",
          place=("--um5g-85k", "--package", "CABGA381", "--speed", "8"), speed="8", mhz=48,
          led="led", load="openFPGALoader -b ecp5_evn {}"),
)})
