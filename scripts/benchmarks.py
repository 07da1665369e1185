"""Benchmarks that are kept: a file of dated entries, what has changed, and the page of them."""

import json
from pathlib import Path

from hdl.config import CONFIGURATIONS
from scripts.console import Refused
from scripts.files import write_whole

__all__ = ["RECORD", "benchmarks_page", "changes", "last_of", "read_entries", "write_entries"]


#: Where the project keeps its own.
RECORD = Path(__file__).parents[1] / "docs" / "benchmarks.json"

#: Figures of an entry that may change, and what they are called.
_FIGURES = {"fmax_mhz": "Fmax", "best_mhz": "best Fmax", "lut": "LUT", "ff": "FF", "dsp": "DSP",
            "bram": "BRAM"}
#: Columns of the page's tables.
_SPEED = ("configuration", "date", "device, grade", ">array", ">Fmax", ">best", ">seeds", ">LUT",
          ">FF", ">DSP", ">BRAM", ">peak GOPS", ">GOPS/DSP")
_NETWORKS = ("configuration", "device, grade", ">Fmax", "network", ">cycles", ">frames/s",
             ">utilisation", ">GOPS", ">GOPS/DSP")


def read_entries(path):
    """Return the entries of a file, oldest first; none if there is no such file.

    Raises
    ------
    Refused
        If it cannot be read, or is not such a file.
    """
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))["entries"]
        for entry in entries:
            "".join([entry["date"], entry["config"]])
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused(f"{path}: not a file of benchmarks") from None
    return entries


def write_entries(path, entries):
    """Write entries to a file, and the page of them beside it."""
    text = ",\n".join(f"    {json.dumps(entry, ensure_ascii=False)}" for entry in entries)
    write_whole(path, f'{{\n  "entries": [\n{text}\n  ]\n}}\n')
    write_whole(Path(path).with_suffix(".md"), benchmarks_page(path))


def last_of(entries, name):
    """Return the last entry of a configuration, or None."""
    return next((entry for entry in reversed(entries) if entry["config"] == name), None)


def changes(before, after):
    """Return in words what has changed between two entries of a configuration."""
    if "error" in before or "error" in after:
        words = [entry.get("error", "placed and routed") for entry in (before, after)]
        return [] if words[0] == words[1] else [f"{words[0]} → {words[1]}"]
    found = [_change(title, before[key], after[key]) for key, title in _FIGURES.items()]
    for name in before["networks"].keys() | after["networks"].keys():
        cycles = [(entry["networks"].get(name) or {}).get("cycles") for entry in (before, after)]
        found.append(_change(f"{name} cycles", *cycles))
    return sorted(filter(None, found))


def _change(title, before, after):
    if before == after:
        return None
    words = [f"{value:,}" if value is not None else "none" for value in (before, after)]
    share = f" ({after / before - 1:+.1%})" if before and after else ""
    return f"{title} {words[0]} → {words[1]}{share}"


def benchmarks_page(path=RECORD):
    """Return the page of the entries in a file."""
    entries = read_entries(path)
    names = sorted({entry["config"] for entry in entries},
                   key=lambda name: ([*CONFIGURATIONS, name].index(name), name))
    latest = [last_of(entries, name) for name in names]
    return _PAGE.format(
        speed_head=_head(_SPEED), networks_head=_head(_NETWORKS),
        speed="\n".join(map(_speed_row, latest)),
        networks="\n".join(row for entry in latest for row in _network_rows(entry)),
        history="\n".join(line for name in names for line in _history(
            [entry for entry in entries if entry["config"] == name])))


def _where(entry):
    return f"{entry['device']}, {entry['speed']}"


def _speed_row(entry):
    first = [entry["config"], entry["date"], _where(entry), f"{entry['rows']}×{entry['columns']}"]
    if "error" in entry:
        return _row([*first, "none", *[""] * (len(_SPEED) - len(first) - 1)])
    per_block = "" if entry["gops_per_dsp"] is None else f"{entry['gops_per_dsp']:.3f}"
    return _row([*first, f"{entry['fmax_mhz']:.1f}", f"{entry['best_mhz']:.1f}", entry["seeds"],
                 *(f"{entry[key]:,}" for key in ("lut", "ff", "dsp", "bram")),
                 f"{entry['peak_gops']:.2f}", per_block])


def _network_rows(entry):
    for name, figures in entry.get("networks", {}).items():
        first = [entry["config"], _where(entry), f"{entry['fmax_mhz']:.1f}", name]
        if figures is None:
            yield _row([*first, "does not fit", *[""] * (len(_NETWORKS) - len(first) - 1)])
            continue
        per_block = figures["gops_per_dsp"]
        yield _row([*first, f"{figures['cycles']:,}", f"{figures['frames_per_second']:,.1f}",
                    f"{figures['utilisation']:.1%}", f"{figures['gops']:.2f}",
                    "" if per_block is None else f"{per_block:.3f}"])


def _history(entries):
    first = entries[0]
    yield f"- {first['config']}, {first['date']}: {first.get('error', 'first entry')}"
    for before, after in zip(entries, entries[1:], strict=False):
        words = "; ".join(changes(before, after)) or "no change"
        yield f"- {after['config']}, {after['date']}: {words}"


def _row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def _head(columns):
    """Head of a table; a column whose name starts with ``>`` is aligned right."""
    return "\n".join([_row(name.removeprefix(">") for name in columns),
                      _row("--:" if name.startswith(">") else "---" for name in columns)])


_PAGE = """\
# Benchmarks

<!-- Generated from benchmarks.json by `celosia bench --record`, or `python -m scripts.pages`. -->

`celosia bench` places and routes whole engines, ports and memories included, with several seeds,
and asks the cycle model what MLPerf Tiny's networks take on them:

    celosia bench --config ecp5-85f --seeds 5 --record docs/benchmarks.json

What was measured is here, and nothing else. [Synthesis](synthesis.md) says what the figures of
speed and area mean: out of context on ECP5, in a wrapper on iCE40, after routing, slow corner as
nextpnr models it, cut to the data sheet's limits.

## Speed and area
Fmax in MHz: the median over the seeds, which counts, and the best; none if the engine does not
fit (below, what has changed, says why). Peak GOPS are two operations
for each element of the array in every cycle, at the median.

{speed_head}
{speed}

## Networks
Frames a second are the Fmax beside them, the median, divided by the cycles. Cycles are from one
frame to the next while frames keep coming, by the cycle model: its layers equal the hardware's
cycle by cycle where each waits for the one before, and tests hold the whole to 1% of what the
simulated engine takes. Utilisation is the network's multiplications in the array's; GOPS are two
operations for each multiplication.

{networks_head}
{networks}

## What has changed
{history}
"""
