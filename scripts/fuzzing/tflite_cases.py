"""Cases of the TFLite reader: random graphs and damaged files."""

from functools import partial
from typing import Any

import numpy as np
import tflite

from scripts.fuzzing import tflite_oracle
from scripts.fuzzing.checks import require_equal
from scripts.fuzzing.reading import read_damaged, too_large
from scripts.fuzzing.tflite_draw import Draw, random_frames

__all__ = ["RUNTIME", "SUFFIX", "bases", "check_damaged", "compare", "damaged", "drawn",
           "frames_of", "wreck"]

#: End of the files' names, and the module of the runtime that they are compared with.
SUFFIX, RUNTIME = ".tflite", tflite_oracle.__name__
#: What sizes, indices and offsets are replaced with.
WORDS = [0, 1, 2, 3, 255, 0x7F800000, 0x7FC00000, 0x00000001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def drawn(seed):
    """A random graph of up to six operators: the `Draw` and the bytes of the file."""
    draw = Draw(seed, uint8=seed % 4 == 3, frames=1 + seed % 2)
    return draw, draw.model(draw.graph(1 + seed % 6))


def frames_of(draw, model):
    """Frames for a drawn model."""
    return random_frames(draw.rng, model.input, draw.frames)


def compare(model, content, frames):
    """Compare every tensor; see :func:`scripts.fuzzing.tflite_oracle.compare`."""
    return tflite_oracle.compare(model, content, frames)


def bases(models=(), count=12):
    """Files to damage: small ones, and those of the paths ``models``."""
    return [*(drawn(1000 + seed)[1] for seed in range(count)),
            *(path.read_bytes() for path in models if path.suffix == SUFFIX)]


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


def wreck(number, files):
    """Damaged content of this number out of what :func:`bases` returned, and the function that
    reads it: :func:`check_damaged`."""
    rng = np.random.default_rng(number)
    content = damaged(files[number % len(files)], rng)
    return content, partial(check_damaged, content, rng=rng)


def check_damaged(content, path, sandbox, *, rng):
    """Read a damaged file; return what became of it, in a word.

    It must be refused in one line or read within bounded time, and what is read must give what
    TFLite gives, if that takes the file.

    Parameters
    ----------
    content : bytes
    path : path
        Where to put the file.
    sandbox : Sandbox
        Of :data:`RUNTIME`.
    rng : numpy.random.Generator
        For the frames.

    Raises
    ------
    MismatchError
        If it is read wrongly.
    """
    path.write_bytes(content)
    model, outcome = read_damaged(path)
    if model is None:
        return outcome
    frames = _frames_of(content)
    if too_large(model.network, frames):
        return "too large to run"
    x = random_frames(rng, model.input, frames)
    result = model.run(x)
    expected = sandbox.run(content, x)
    if expected is None:
        return "refused by the runtime only"
    require_equal("The output", result, expected)
    return "equal"


def _frames_of(content):
    graph: Any = tflite.Model.GetRootAs(content, 0).Subgraphs(0)
    return int(graph.Tensors(graph.Inputs(0)).ShapeAsNumpy()[0])


def _structure(content):
    """Offsets of the bytes that are not in a large constant."""
    inside = np.ones(len(content), bool)
    model: Any = tflite.Model.GetRootAs(bytes(content), 0)
    for index in range(model.BuffersLength()):
        data = model.Buffers(index).DataAsNumpy()
        if not isinstance(data, int) and data.size > 256:
            start = bytes(content).find(data.tobytes())
            inside[start:start + data.size] = False
    return np.flatnonzero(inside)
