"""A bound on how long something written in Python may take."""

import signal
import threading
from contextlib import contextmanager

from scripts.fuzzing.checks import MismatchError

__all__ = ["bounded"]


@contextmanager
def bounded(seconds, what):
    """Raise a :class:`MismatchError` in the block once it has taken so many seconds.

    Only the main thread of a system with alarms can be interrupted; elsewhere nothing is bounded.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return

    def late(*_):
        raise MismatchError(f"{what} has taken more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
