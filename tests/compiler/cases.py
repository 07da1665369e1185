"""Cases of `celosia fuzz`, one at a time."""

from compiler.reader import read_model

__all__ = ["compare_drawn"]


def compare_drawn(cases, seed, folder):
    """Draw a model of a module of cases, read it, and compare every tensor with the runtime.

    Returns
    -------
    (int, int)
        Values that differ, next to ties, and values in all.
    """
    draw, content = cases.drawn(seed)
    path = folder / f"model{cases.SUFFIX}"
    path.write_bytes(content)
    model = read_model(path)
    return cases.compare(model, content, cases.frames_of(draw, model))
