"""Verilog that is generated once."""

import os

import pytest

import sim.generated
from sim.generated import kept


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sim.generated, "FOLDER", tmp_path / "verilog")
    return tmp_path / "verilog"


def test_is_made_once_for_a_key(folder):
    made = []

    def make():
        made.append(None)
        return f"text {len(made)}"

    assert kept(["a", 1], make) == "text 1"
    assert kept(["a", 1], make) == "text 1"
    assert kept(["a", 2], make) == "text 2"
    assert len(list(folder.iterdir())) == 2


def test_is_made_again_if_a_source_or_a_tool_has_changed(tmp_path, monkeypatch):
    assert kept("key", lambda: "old") == "old"
    monkeypatch.setattr(sim.generated, "version", lambda tool: f"{tool} of tomorrow")
    assert kept("key", lambda: "new tools") == "new tools"
    (tmp_path / "hdl").mkdir()
    source = tmp_path / "hdl" / "array.py"
    monkeypatch.setattr(sim.generated, "_ROOT", tmp_path)
    for text in ("one", "two"):
        source.write_text(text)
        assert kept("key", lambda text=text: text) == text
    assert kept("key", lambda: "three") == "two"


def test_failure_keeps_nothing(folder):
    def fail():
        raise ValueError("lint")

    with pytest.raises(ValueError, match="lint"):
        kept("key", fail)
    assert not folder.exists()


def test_keeps_those_made_last(folder, monkeypatch):
    monkeypatch.setattr(sim.generated, "MOST", 3)
    for number in range(6):
        kept(number, lambda number=number: str(number))
        for path in folder.iterdir():
            time = path.stat().st_mtime
            os.utime(path, (time - 10, time - 10))
    assert sorted(path.read_text() for path in folder.iterdir()) == ["3", "4", "5"]
