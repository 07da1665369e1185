from pathlib import Path

import pytest

from scripts.pages import PAGES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_current(path):
    """If not: ``python -m scripts.pages``."""
    assert (ROOT / path).read_text(encoding="utf-8") == PAGES[path]()
