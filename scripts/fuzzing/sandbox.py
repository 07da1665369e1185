"""A runtime in a process of its own, which damaged models may kill."""

import importlib
import multiprocessing
from typing import Any

__all__ = ["Sandbox"]


class Sandbox:
    """Runs models one after the other; a context manager.

    Parameters
    ----------
    runtime : str
        Module with a function ``outcome(content, frames)``, which gives a model's output, or
        None if the runtime refuses the model.
    patience : float
        Seconds that a model may take.
    """

    def __init__(self, runtime, *, patience=60.0):
        self.runtime = runtime
        self.patience = patience
        self._process: Any = None
        self._pipe: Any = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop()

    def run(self, content, frames):
        """The output for ``frames``; None if the runtime refuses the model, fails or dies."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(self.runtime, theirs),
                                            daemon=True)
            self._process.start()
            theirs.close()
        try:
            self._pipe.send((content, frames))
            if self._pipe.poll(self.patience):
                return self._pipe.recv()
        except (EOFError, OSError):
            pass
        self._stop()
        return None

    def _stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = self._pipe = None


def _serve(runtime, pipe):
    outcome = importlib.import_module(runtime).outcome
    while True:
        try:
            content, frames = pipe.recv()
        except EOFError:
            return
        pipe.send(outcome(content, frames))
