"""Options that commands share, and what turns an error of theirs into one line."""

import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from amaranth.hdl import UnusedElaboratable

from hdl.config import load
from scripts.console import Refused
from scripts.devices import device_of

__all__ = ["calibration_option", "config_option", "configuration", "directory_option",
           "jobs_option", "model_argument", "refusing", "report_option", "writing"]


#: Configuration of the commands that take a model, unless another is named.
DEFAULT = "ecp5-85f"


@contextmanager
def refusing():
    """Refuse what :mod:`hdl` or :mod:`compiler` says is of a wrong kind or range."""
    try:
        yield
    except (TypeError, ValueError) as error:
        # An engine that is refused before it is elaborated is not a mistake.
        warnings.simplefilter("ignore", UnusedElaboratable)
        raise Refused(str(error)) from None


@contextmanager
def writing():
    """Refuse folders and files that cannot be written."""
    try:
        yield
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from None


def configuration(name):
    """Return the configuration ``name``, or the one in the TOML file of that name; of None, None.

    Raises
    ------
    Refused
        If there is none, or it names no known device.
    """
    if name is None:
        return None
    with refusing():
        config = load(name)
        device_of(config)
    return config


def config_option(*, required, default: str | None = DEFAULT):
    """``--config NAME``, which gives a :class:`hdl.config.Configuration`."""
    choice: dict[str, Any] = {"required": True} if required else {
        "default": default, "show_default": default is not None}
    return click.option(
        "--config", metavar="NAME", **choice,
        callback=lambda _context, _option, name: configuration(name),
        help="A configuration that `celosia configs` lists, or a TOML file of your own.")


directory_option = click.option(
    "-o", "--output", "directory", metavar="DIR", required=True, type=click.Path(path_type=Path),
    help="Folder for the files; made if need be.")

report_option = click.option(
    "--report", metavar="R.json", type=click.Path(path_type=Path),
    help="Write the figures as JSON.")

jobs_option = click.option(
    "--jobs", metavar="N", type=click.IntRange(1, 1000),
    help="Placements at a time; by default as many as there are cores.")

calibration_option = click.option(
    "--calibration", metavar="C.npy", type=click.Path(path_type=Path),
    help="Frames with which a float ONNX model is quantised, in its own layout.")

model_argument = click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
