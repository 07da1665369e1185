"""The support matrix is that of the readers."""

from pathlib import Path

from compiler.onnx_node import OPERATORS as ONNX
from compiler.tflite_node import OPERATORS as TFLITE
from scripts.support import support_page


def rows(page):
    """Cells of the page's tables."""
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_operator_has_a_row_and_nothing_else():
    names = [row[0].strip("`") for row in rows(support_page())]
    assert names == [*sorted(TFLITE), *(ONNX[key].title for key in sorted(ONNX))]


def test_rows_say_what_the_readers_say():
    table = {row[0].strip("`"): row[1:] for row in rows(support_page())}
    for known in TFLITE.values():
        assert table[known.name] == [str(known.version), known.mapped, known.limits]
    for known in ONNX.values():
        attributes = ", ".join(f"`{name}`" for name in sorted(known.attributes))
        assert table[known.title] == [attributes, known.mapped, known.limits]


def test_the_page_has_its_readers():
    """Other pages lead to it."""
    docs = Path(__file__).parents[2] / "docs"
    assert "](support.md)" in (docs / "models.md").read_text(encoding="utf-8")
