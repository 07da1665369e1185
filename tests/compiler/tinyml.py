"""MLPerf Tiny's models for tests, if they can be had."""

from pathlib import Path

import click
import pytest

from scripts.fetch import fetch_models

__all__ = ["tinyml", "tinyml_if_any"]

FOLDER = Path(__file__).parents[2] / "build" / "models"


def tinyml(name):
    """Path of one of the models; the test is skipped if they cannot be downloaded."""
    try:
        return fetch_models(FOLDER)[name]
    except click.ClickException as error:
        if error.exit_code == 1:  # It was downloaded, and is another file.
            raise
        pytest.skip(f"MLPerf Tiny's models cannot be fetched: {error.message}")


def tinyml_if_any():
    """Paths of all the models; of none if they cannot be downloaded."""
    try:
        return tuple(fetch_models(FOLDER).values())
    except click.ClickException:
        return ()
