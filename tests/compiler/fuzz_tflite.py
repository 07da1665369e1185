"""Fuzz the TFLite reader: random graphs and damaged files against TFLite's reference kernels.

``python -m tests.compiler.fuzz_tflite --help`` tells how to run it at any length.
"""

import time
from collections import Counter
from math import prod
from pathlib import Path

import click
import numpy as np
import tflite

from compiler.errors import ModelError
from compiler.tflite_reader import survey_tflite
from scripts.fetch import fetch_models
from tests.compiler.tflite_draw import Draw, random_frames
from tests.compiler.tflite_oracle import assert_equals_reference
from tests.compiler.tflite_sandbox import Sandbox

__all__ = ["bases", "check_damaged", "check_graph", "damaged"]

#: Seconds that reading may take, whatever the file.
PATIENCE = 10.0
#: Multiplications, and elements of a map, beyond which an accepted file is not run.
MOST_WORK, MOST_ELEMENTS = 1 << 26, 1 << 20
#: What sizes, indices and offsets are replaced with.
WORDS = [0, 1, 2, 3, 255, 0x7F800000, 0x7FC00000, 0x00000001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def drawn(seed):
    """A random graph of up to six operators: the `Draw` and the bytes of the file."""
    draw = Draw(seed, uint8=seed % 4 == 3, frames=1 + seed % 2)
    return draw, draw.model(draw.graph(1 + seed % 6))


def check_graph(seed, path):
    """Write a random graph to ``path``, read it, and compare every tensor of it."""
    draw, content = drawn(seed)
    path.write_bytes(content)
    found = survey_tflite(path)
    if found.model is None:
        raise found.faults[0]
    frames = random_frames(draw.rng, found.model.input, draw.frames)
    assert_equals_reference(found.model, content, frames)


def bases(count=12):
    """Files to damage: MLPerf Tiny's if they are there or can be fetched, and small ones."""
    files = [drawn(1000 + seed)[1] for seed in range(count)]
    try:
        models = fetch_models(Path(__file__).parents[2] / "build" / "models")
    except click.ClickException:
        return files
    return files + [path.read_bytes() for path in models.values()]


def damaged(content, rng):
    """``content`` with one to three things wrong, most of them outside the weights."""
    content = bytearray(content)
    kind = rng.choice(["bits", "bits", "words", "words", "bytes", "cut", "shift"])
    if kind == "cut":
        return bytes(content[:rng.integers(len(content))])
    places = _structure(content)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.choice(places) if rng.random() < 0.8 else rng.integers(len(content)))
        if kind == "bits":
            content[place] ^= 1 << rng.integers(8)
        elif kind == "bytes":
            content[place] = rng.integers(256)
        elif kind == "words":
            word = int(rng.choice(WORDS)) if rng.random() < 0.7 else int(rng.integers(1 << 32))
            place -= place % 4
            content[place:place + 4] = word.to_bytes(4, "little")
        else:
            content[place:place + rng.integers(9)] = rng.bytes(rng.integers(9))
    return bytes(content)


def check_damaged(content, path, sandbox, rng):
    """Read a damaged file; return what became of it, in a word.

    It must be refused in one line or read within bounded time, and what is read must give what
    TFLite gives, if that takes the file.
    """
    path.write_bytes(content)
    start = time.perf_counter()
    try:
        found = survey_tflite(path)
        faults = found.faults
        model = found.model
    except ModelError as fault:
        faults, model = (fault,), None
    assert time.perf_counter() - start < PATIENCE
    assert (model is None) == bool(faults)
    for fault in faults:
        assert str(fault).startswith(f"{path.name}: ")
        assert "; " in str(fault)
        assert str(fault).isprintable()
        assert len(str(fault)) < 1000
    if model is None:
        return "refused"
    shapes = model.network.shapes()
    frames = _frames_of(content)
    if frames * model.network.macs() > MOST_WORK or frames * max(
            map(prod, shapes.values())) > MOST_ELEMENTS:
        return "too large to run"
    x = random_frames(rng, model.input, frames)
    result = model.run(x)
    expected = sandbox.run(content, x)
    if expected is None:
        return "refused by TFLite only"
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)
    return "equal"


def _frames_of(content):
    graph = tflite.Model.GetRootAs(content, 0).Subgraphs(0)
    return int(graph.Tensors(graph.Inputs(0)).ShapeAsNumpy()[0])


def _structure(content):
    """Offsets of the bytes that are not in a large constant."""
    inside = np.ones(len(content), bool)
    model = tflite.Model.GetRootAs(bytes(content), 0)
    for index in range(model.BuffersLength()):
        data = model.Buffers(index).DataAsNumpy()
        if not isinstance(data, int) and data.size > 256:
            start = bytes(content).find(data.tobytes())
            inside[start:start + data.size] = False
    return np.flatnonzero(inside)


@click.command()
@click.option("--seed", default=0, show_default=True, help="Of the first case.")
@click.option("--graphs", default=2000, show_default=True, help="Random graphs to compare.")
@click.option("--damaged", "wrecks", default=2000, show_default=True, help="Files to damage.")
@click.option("--folder", default="build/fuzz", show_default=True, type=click.Path(path_type=Path),
              help="Where the file of the last case is.")
def main(seed, graphs, wrecks, folder):
    """Random graphs, then damaged files, against TFLite's reference kernels.

    Stops at the first case that fails, and says its number: --seed NUMBER begins with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.tflite"
    outcomes = Counter()
    with Sandbox() as sandbox:
        for case in range(seed, seed + graphs):
            try:
                check_graph(case, path)
            except Exception:
                click.echo(f"Graph {case} fails: {path}", err=True)
                raise
        files = bases()
        for case in range(seed, seed + wrecks):
            rng = np.random.default_rng(case)
            try:
                wreck = damaged(files[case % len(files)], rng)
                outcomes[check_damaged(wreck, path, sandbox, rng)] += 1
            except Exception:
                click.echo(f"Damaged file {case} fails: {path}", err=True)
                raise
    click.echo(f"{graphs} graphs equal TFLite in every tensor. {wrecks} damaged files: "
               + ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))


if __name__ == "__main__":
    main()
