# amaranth: UnusedElaboratable=no
"""``celosia bench``: what it says, keeps and compares."""

import json
from datetime import date
from statistics import median

import pytest

import scripts.bench
import scripts.synth
from scripts.benchmarks import RECORD, benchmarks_page, changes, read_entries, write_entries
from scripts.console import CheckFailed, Refused
from scripts.shapes import read_shapes
from tests.golden.refusal import refuses
from tests.scripts.standin import Grid

SMALL = """\
device = "lfe5u-25f"
rows = 2
columns = 2
lanes = 2
channels = 2
multiplier = "ecp5"
lane_interval = 1
weight_words = 24000
activation_words = 8192
coefficient_words = 1024
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A configuration whose engine is a stand-in that is placed in seconds."""
    monkeypatch.setitem(scripts.synth.PARTS, "engine", lambda _: Grid())
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def today(monkeypatch):
    """Set the date."""
    def put(text):
        class Today(date):
            @classmethod
            def today(cls):
                return cls.fromisoformat(text)
        monkeypatch.setattr(scripts.bench, "date", Today)
    return put


def test_measures_keeps_and_goes_on(celosia, small, today, monkeypatch, tmp_path):
    """Twice on a day, and on others: what is there is not made again; one entry for each design
    and day."""
    record, folder = tmp_path / "kept" / "record.json", tmp_path / "runs"

    def bench(day, *options):
        today(day)
        result = celosia("bench", "--config", small, "-o", folder, "--record", record, *options)
        assert result.exit_code == 0, result.output
        return result.stdout, read_entries(record)

    said, (first,) = bench("2026-01-01", "--seeds", "2")
    assert "Since" not in said
    assert (first["date"], first["seeds"], first["dsp"]) == ("2026-01-01", 2, 4)
    assert 50 < first["fmax_mhz"] <= first["best_mhz"]
    assert first["gops_per_dsp"] == pytest.approx(first["peak_gops"] / 4, abs=1e-4)
    assert first["networks"]["visual_wake_words"] is None       # It needs more weight words.
    spoken = first["networks"]["keyword_spotting"]
    rate = first["fmax_mhz"] * 1e6 / spoken["cycles"]
    assert spoken["frames_per_second"] == pytest.approx(rate, abs=0.1)
    macs = read_shapes("keyword_spotting").macs()
    assert spoken["utilisation"] == pytest.approx(macs / spoken["cycles"] / 4, abs=1e-4)
    assert spoken["gops"] == pytest.approx(2 * macs * rate / 1e9, abs=1e-3)
    for text in (f"{first['fmax_mhz']:.2f} MHz", f"{spoken['cycles']:,}", "does not fit",
                 "small on lfe5u-25f, speed grade 6, at"):
        assert text in said

    report = folder / "small" / "nextpnr-1.json"
    made = report.stat().st_mtime_ns
    said, entries = bench("2026-01-01", "--seeds", "2")
    assert entries == [first]
    assert said.endswith("Since 2026-01-01:\nno change\n")
    assert report.stat().st_mtime_ns == made

    # Other seeds of the same, on another day, are added to the entry.
    said, (more,) = bench("2026-01-02", "--seeds", "2", "--first-seed", "2")
    assert (more["date"], more["seeds"], list(more["seeds_mhz"])) == ("2026-01-02", 3, list("123"))
    assert more["seeds_mhz"].items() > first["seeds_mhz"].items()
    assert more["fmax_mhz"] == median(more["seeds_mhz"].values())
    assert more["best_mhz"] == max(more["seeds_mhz"].values())
    assert more["peak_gops"] == round(8 * more["fmax_mhz"] / 1000, 3)
    assert "Since 2026-01-01:\n" in said

    monkeypatch.setitem(scripts.synth.PARTS, "engine", lambda _: Grid(rows=1))
    said, (again, second) = bench("2026-01-03", "--seeds", "1")
    assert (again, second["date"], second["seeds"]) == (more, "2026-01-03", 1)
    page = record.with_suffix(".md").read_text()
    assert page == benchmarks_page(record)
    assert page.count("\n| small | 2026-01-0") == 1
    assert "\n- small, 2026-01-02: first entry\n- small, 2026-01-03: " in page


def test_what_does_not_fit_is_kept_too(celosia, small, monkeypatch, tmp_path):
    def fails(*_arguments, **_options):
        raise CheckFailed("small does not fit lfe5u-25f: A: 2 needed, 1 available; log: /a/b")

    monkeypatch.setattr(scripts.bench, "synthesise", fails)
    record = tmp_path / "record.json"
    result = celosia("bench", "--config", small, "-o", tmp_path / "runs", "--record", record)
    assert result.exit_code == 1
    assert result.stderr == "celosia: Not placed and routed: small\n"
    reason = "small does not fit lfe5u-25f: A: 2 needed, 1 available"
    assert result.stdout == f"\nsmall on lfe5u-25f, speed grade 6: {reason}\n"
    entry, = read_entries(record)
    assert entry["error"] == reason
    assert f": {reason}\n" in record.with_suffix(".md").read_text()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"entries": [{}]}', b"[" * 100_000,
                                     b'{"entries": [{"date": 1, "config": "a"}]}'])
def test_refuses_what_is_no_record(refused, tmp_path, content):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    assert refused("bench", "--config", "tiny", "--record", path) == (
        f"{path}: not a file of benchmarks")
    assert path.read_bytes() == content


@pytest.mark.parametrize(("arguments", "message"), [
    (["--config", "huge"], "No configuration or file named 'huge'; "),
    (["--seeds", "0"], "Invalid value for '--seeds': 0 is not in the range 1<=x<=1000"),
    (["--first-seed", "0"], "Invalid value for '--first-seed': 0 is not in the range 1<=x<="),
    (["--jobs", "0"], "Invalid value for '--jobs': 0 is not in the range 1<=x<=1000"),
    (["--record", "kept.md"], "kept.md: the name of a file of benchmarks must end in .json"),
    (["--record", "/dev/null/kept.json"], "/dev/null: Not a directory"),
])
def test_bad_input_is_one_line(refused, arguments, message):
    assert refused("bench", *arguments).startswith(message)


def entry(**figures):
    networks = {"a": {"cycles": figures.pop("cycles", 100)}}
    return {"fmax_mhz": 100.0, "best_mhz": 110.0, "lut": 10, "ff": 20, "dsp": 1, "bram": 0,
            "networks": networks} | figures


@pytest.mark.parametrize(("before", "after", "expected"), [
    (entry(), entry(), []),
    (entry(), entry(fmax_mhz=110.0, lut=9), ["Fmax 100.0 → 110.0 (+10.0%)",
                                             "LUT 10 → 9 (-10.0%)"]),
    (entry(), entry(cycles=90), ["a cycles 100 → 90 (-10.0%)"]),
    (entry(networks={"a": None}), entry(), ["a cycles none → 100"]),
    (entry(), entry(bram=1), ["BRAM 0 → 1"]),
    ({"error": "full"}, entry(), ["full → placed and routed"]),
    (entry(), {"error": "full"}, ["placed and routed → full"]),
    ({"error": "full"}, {"error": "full"}, []),
])
def test_changes(before, after, expected):
    assert changes(before, after) == expected


def test_project_keeps_its_own():
    """Each with the figures that its page shows; and no frame rate of what was not measured."""
    for each in read_entries(RECORD):
        date.fromisoformat(each["date"])
        for figures in each.get("networks", {}).values():
            if figures is not None:
                assert figures["frames_per_second"] == pytest.approx(
                    each["fmax_mhz"] * 1e6 / figures["cycles"], abs=0.1)


def test_a_record_that_cannot_be_read(tmp_path):
    with refuses(Refused, f"{tmp_path}: Is a directory"):
        read_entries(tmp_path)
    write_entries(tmp_path / "a.json", [])
    assert json.loads((tmp_path / "a.json").read_text()) == {"entries": []}
