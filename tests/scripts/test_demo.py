"""The demo, as a user runs it, on two images."""

from click.testing import CliRunner

from scripts.cli import main


def test_demo_reads_digits_exactly():
    result = CliRunner().invoke(main, ["demo", "--images", "2", "--no-synth"])
    assert result.exit_code == 0, result.output
    assert "All 13,588 codes of the pipeline and all 20 of the engine equal" in result.output
    assert "engine in Verilog, int8         2 of 2    100.0%" in result.output


def test_demo_refuses_an_engine_that_is_too_small():
    result = CliRunner().invoke(main, ["demo", "--config", "tiny", "--no-synth"])
    assert result.exit_code == 2
    assert result.stderr.startswith("celosia: The network needs ")
