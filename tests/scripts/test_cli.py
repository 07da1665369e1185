import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import scripts.generate
import scripts.hardware
from hdl.config import CONFIGURATIONS
from scripts.cli import COMMANDS, main

COMMAND = Path(sys.executable).with_name("celosia")


def celosia(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments],
                              prog_name="celosia")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_mentions_each_command(option):
    result = celosia(option)
    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in result.stdout
    assert "Exit status: 0 done; 1 a check failed" in result.stdout


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "configs"])
def test_help_of_each_command_has_examples(command):
    result = celosia(command, "--help")
    assert result.exit_code == 0
    assert f"\n    celosia {command}" in result.stdout


def test_version():
    assert celosia("--version").stdout == f"celosia, version {version('celosia')}\n"


def test_configs_lists_each_in_line():
    lines = celosia("configs").stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == ["name", *CONFIGURATIONS]
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["tiny", "2×2", "1", "2", "lut", "ice40up5k", "4"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["frobnicate"], "No such command 'frobnicate'; see celosia --help"),
    (["--frobnicate"], "No such option '--frobnicate'; see celosia --help"),
    (["generate", "-o", "x"], "Missing option '--config'; see celosia generate --help"),
    (["generate", "--config", "tiny"],
     "Missing option '-o' / '--output'; see celosia generate --help"),
    (["generate", "--config", "huge", "-o", "x"],
     f"No configuration or file named 'huge'; configurations: {', '.join(CONFIGURATIONS)}"),
    (["synth", "--config", "tiny", "-o", "x", "--seeds", "0"],
     "Invalid value for '--seeds': 0 is not in the range 1<=x<=1000; see celosia synth --help"),
])
def test_errors_of_usage_take_one_line(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = celosia(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"celosia: {message}\n"
    assert not list(tmp_path.iterdir())


SMALL = 'device = "ice40up5k"\nrows = 2\ncolumns = 2\nlanes = 1\nchannels = 2\n'


@pytest.mark.parametrize(("text", "message"), [
    (SMALL + "speed = 3\n",
     f"unknown key 'speed'; keys: {', '.join(CONFIGURATIONS['tiny'].as_dict())}"),
    (SMALL.replace("columns = 2", "columns = 65"),
     "Configuration columns must be 1 to 64, not 65"),
    (SMALL.replace("rows = 2", 'rows = "2"'), "Configuration rows must be an integer, not '2'"),
    ("rows =", "not a TOML file: Invalid value (at end of document)"),
])
def test_bad_file(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    result = celosia("generate", "--config", path, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"celosia: {path}: {message}\n"
    assert not (tmp_path / "out").exists()


def test_unknown_device(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace("ice40up5k", "xc7a35t"))
    result = celosia("synth", "--config", path, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr == ("celosia: Configuration device must be one of ice40up5k, lfe5u-25f, "
                             "lfe5u-85f, lifcl-40, gw2a-18, not 'xc7a35t'\n")


def test_multiplier_of_another_family(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace("ice40up5k", "lifcl-40") + 'multiplier = "ecp5"\n')
    result = celosia("synth", "--config", path, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr == ("celosia: Configuration multiplier must be portable or lut on "
                             "lifcl-40, not 'ecp5'\n")
    assert not (tmp_path / "out").exists()


def test_own_file_is_a_configuration(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SMALL + 'multiplier = "lut"\nlane_interval = 8\n')
    result = celosia("generate", "--config", path, "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "celosia_registers.h", "manifest.json", "mine.v"}


def test_what_the_engine_refuses(tmp_path, monkeypatch):
    def refuse(config, _control):
        raise ValueError(f"Rows must be even, not {config.rows + 1}")

    monkeypatch.setattr(scripts.generate, "engine", refuse)
    monkeypatch.setattr(scripts.generate, "kept", lambda _, make: make())
    result = celosia("generate", "--config", "tiny", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == "celosia: Rows must be even, not 3"
    assert not (tmp_path / "out").exists()


def test_a_mistake_of_ours_is_not_hidden(tmp_path, monkeypatch):
    """Only what the engine says of a configuration is the user's fault."""
    def fail(*_):
        raise ValueError("a defect")

    monkeypatch.setattr(scripts.hardware, "write_engine", fail)
    result = celosia("generate", "--config", "tiny", "-o", tmp_path / "out")
    assert isinstance(result.exception, ValueError)


@pytest.mark.parametrize("arguments", [
    ["generate", "--config", "tiny", "-o", "{file}"],
    ["synth", "--config", "tiny", "-o", "{file}"],
    ["synth", "--native", "--config", "tiny", "-o", "{file}/under"],
])
def test_real_process_says_one_line_of_what_it_cannot_do(tmp_path, arguments):
    """No traceback, no warning of an engine that was not used, nothing written."""
    path = tmp_path / "file"
    path.write_text("kept")
    done = subprocess.run([COMMAND, *(text.format(file=path) for text in arguments)], text=True,
                          capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "")
    *notices, error = done.stderr.splitlines()
    assert notices in ([], ["Generating and linting tiny"])
    assert error.startswith("celosia: ")
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["kept"]


def test_termination_ends_the_tools_as_well(tmp_path):
    """Of which one says its number and sleeps."""
    said = tmp_path / "number"
    for tool in ("yosys", "nextpnr-ice40"):
        path = tmp_path / tool
        path.write_text("#!/bin/sh\n[ \"$1\" = --version ] && exit\n"
                        f"echo $$ >{said}.part; mv {said}.part {said}; exec sleep 600\n",
                        encoding="utf-8")
        path.chmod(0o755)
    process = subprocess.Popen(
        [COMMAND, "synth", "--native", "--config", "tiny", "--part", "pipeline",
         "-o", tmp_path / "out"], cwd=tmp_path, text=True, stderr=subprocess.PIPE,
        env=os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"})
    while not said.exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=60)[1].rstrip().endswith("Aborted!")
    assert process.returncode == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(said.read_text(encoding="utf-8")), 0)


def test_termination_leaves_nothing_half_written(tmp_path):
    """A command of our own, since the project's write all at once at their end."""
    code = ("import time, click\n"
            "from scripts.console import Commands\n"
            "from scripts.files import publishing\n"
            "@click.group(cls=Commands, modules={})\n"
            "def main(): pass\n"
            "@main.command()\n"
            "def write():\n"
            "    with publishing('out') as staging:\n"
            "        (staging / 'half').touch()\n"
            "        time.sleep(600)\n"
            "main()\n")
    process = subprocess.Popen([sys.executable, "-c", code, "write"], cwd=tmp_path,
                               stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("out/*/half")):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_documented(name):
    """And the list of commands, which imports none of them, says what they say themselves."""
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, click.Command)
    assert command.help is not None
    assert " ".join(command.help.split("\n\n")[0].split()) == COMMANDS[name][1]
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_help_needs_no_command():
    """The list of commands comes at once: nothing that is slow to import is imported."""
    slow = ("numpy", "amaranth", "onnx", "cocotb")
    done = subprocess.run(
        [sys.executable, "-c", "import sys\nfrom scripts.cli import main\n"
         "main(['--help'], standalone_mode=False)\n"
         f"assert not {{*{slow}}} & sys.modules.keys()"],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
