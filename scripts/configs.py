"""``celosia configs``: the named configurations."""

import click

from hdl.config import CONFIGURATIONS
from scripts.console import columns, output

__all__ = ["configs"]


@click.command()
def configs():
    """List the named configurations.

    The table shows the array's rows (output pixels) by columns (output channels), the scale-shift
    lanes, the channels of an activation word, how an element multiplies, the device, and the most
    multiply-accumulates in a cycle.
    """
    grid = columns("name", ">array", ">lanes", ">channels", "multiplier", "device", ">MAC/cycle")
    for config in CONFIGURATIONS.values():
        grid.add_row(config.name, f"{config.rows}×{config.columns}", str(config.lanes),
                     str(config.channels), config.multiplier, config.device,
                     str(config.rows * config.columns))
    output().print(grid)
