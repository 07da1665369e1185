"""The tools that a flow runs: the wheels of the virtual environment, or those on PATH."""

import os
import re
import shutil
import subprocess
import sysconfig
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from scripts.console import CheckFailed, Refused

__all__ = ["Toolchain", "cores", "last_words"]


def cores():
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def last_words(log):
    """Return the line of the text ``log`` that says why a tool stopped: its last error, if any."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it wrote no log"])[-1]


class Toolchain:
    """Runs ``yosys`` and the nextpnr of each family, as ``nextpnr-ecp5``.

    Parameters
    ----------
    native : bool
        Whether to take the tools from PATH under their own names, in place of the wheels, which
        the project pins.
    """

    def __init__(self, *, native=False):
        self.native = native
        self._processes = set()
        self._stopped = False
        self._lock = threading.Lock()

    def locate(self, tool):
        """Return the path of ``tool``.

        Raises
        ------
        Refused
            If there is no such tool.
        """
        if self.native:
            if path := shutil.which(tool):
                return path
            raise Refused(f"--native needs {tool}, which is not on PATH; "
                          f"without --native the {tool} of PyPI is used")
        name = f"yowasp-{tool}"
        # Beside the interpreter, and so even if its virtual environment is not activated.
        if path := shutil.which(name, path=sysconfig.get_path("scripts")):
            return path
        raise Refused(f"{name} is missing; install the project's dependencies again: "
                      "pip install -e .")

    def version(self, tool):
        """Return the version that ``tool`` gives itself; compiles a wheel if need be."""
        done = subprocess.run([self.locate(tool), "--version"], capture_output=True, text=True,
                              check=False, stdin=subprocess.DEVNULL)
        # nextpnr writes its version to standard error, as a wheel does that it is compiling.
        found = re.search(r"Yosys [^ \n]+|nextpnr-\d[^ )\n]*", done.stdout + done.stderr)
        return found.group() if found else "unknown"

    def run(self, tool, arguments, *, log, explain=lambda _text: None, limit=None):
        """Run ``tool`` in the folder of ``log``, the file that receives all its output.

        File names in ``arguments`` are relative to that folder: the wheels do not see the
        machine's ``/tmp``. ``explain`` maps a failed run's output to a better message, or None.
        ``limit`` is how many seconds it may take, if not as many as it likes.

        Returns
        -------
        bool
            Whether it came to its end; it does not if all is being stopped.

        Raises
        ------
        CheckFailed
            If the tool fails; the message is its last error and the log's name. Or if it takes
            longer than ``limit``.
        """
        with self._lock, open(log, "w", encoding="utf-8") as sink:
            if self._stopped:
                return False
            process = subprocess.Popen([self.locate(tool), *arguments], cwd=log.parent,
                                       stdin=subprocess.DEVNULL, stdout=sink,
                                       stderr=subprocess.STDOUT)
            self._processes.add(process)
        try:
            status = process.wait(limit)
        except BaseException as stopped:
            # Ctrl-C reaches the tool as well, SIGTERM does not.
            process.terminate()
            process.wait()
            if isinstance(stopped, subprocess.TimeoutExpired):
                raise CheckFailed(f"{tool} was not done in {limit:.0f} s; log: {log}") from None
            raise
        with self._lock:
            self._processes.discard(process)
            if self._stopped:
                return False
        if status:
            text = log.read_text(encoding="utf-8", errors="replace")
            reason = explain(text) or f"{tool} failed: {last_words(text)}"
            raise CheckFailed(f"{reason}; log: {log}")
        return True

    def run_all(self, jobs, at_once=None):
        """Call every function of ``jobs``, so many at a time; the first failure ends the rest.

        By default as many as there are cores.

        Raises
        ------
        CheckFailed
            What the first job to fail raised.
        """
        with ThreadPoolExecutor(max_workers=min(at_once or cores(), len(jobs))) as pool:
            futures = [pool.submit(job) for job in jobs]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                self._stop()
                raise

    def _stop(self):
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.terminate()
