import pytest
from click.testing import CliRunner

from scripts.cli import main


@pytest.fixture
def celosia():
    """Call the command with arguments; what came of it."""
    def call(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments],
                                  prog_name="celosia")
    return call


@pytest.fixture
def refused(celosia):
    """Call the command, which must say one line and end with exit status 2; the line."""
    def call(*arguments, out=""):
        result = celosia(*arguments)
        assert result.exit_code == 2, result.output
        if out is not None:
            assert result.stdout == out
        *progress, line = result.stderr.splitlines()
        assert not any(text.startswith("celosia: ") for text in progress)
        return line.removeprefix("celosia: ")
    return call


@pytest.fixture
def save(tmp_path):
    """Write bytes to a model file; its path."""
    def write(content, name="small.tflite"):
        path = tmp_path / name
        path.write_bytes(content)
        return path
    return write
