"""Expecting an error word for word."""

import re

import pytest


def refuses(error, message):
    """Context in which ``error`` must be raised with exactly this message."""
    return pytest.raises(error, match=f"^{re.escape(message)}$")
