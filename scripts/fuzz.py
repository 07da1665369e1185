"""``celosia fuzz``: random models against the runtimes that others wrote, and damaged files."""

import importlib
import importlib.util
import itertools
import tempfile
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click

from compiler.program import compile_network
from compiler.reader import read_model
from scripts.console import CheckFailed, Refused, columns, output, running
from scripts.fetch import MODELS
from scripts.figures import needs
from scripts.files import check_writable, write_whole
from scripts.fuzzing.checks import MismatchError
from scripts.fuzzing.rtl import Job, stops_of
from scripts.fuzzing.sandbox import Sandbox
from scripts.options import config_option, writing
from sim.engine import EngineSimulation

__all__ = ["fuzz"]


#: Formats in turn: the case of number n is of format n modulo 2.
FORMATS = ("tflite", "onnx")
#: Package that the cases of each format need beside the project's own, and what it is.
ORACLES = {"tflite": ("ai_edge_litert", "TFLite's reference kernels"),
           "onnx": ("onnxruntime", "ONNX Runtime")}
#: Where `celosia fetch` puts models unless told otherwise.
FETCHED = Path("build/models")
#: Programs that run in one simulation, one after the other: starting it takes a second.
TOGETHER = 10


@click.command(epilog="""
\b
Examples:
  celosia fuzz
  celosia fuzz --count 5000 --readers 5000 --seed 100000
  celosia fuzz --count 300 --rtl 100 --config ecp5-25f
  celosia fuzz --seed 123 --count 1 --rtl 1

The last one repeats case 123 alone.
""")
@click.option("--seed", metavar="S", default=0, show_default=True,
              type=click.IntRange(0, 2**32), help="Number of the first case.")
@click.option("--count", metavar="N", default=200, show_default=True,
              type=click.IntRange(0, 10_000_000), help="Random models to compare.")
@click.option("--rtl", metavar="K", default=0, show_default=True,
              type=click.IntRange(0, 1_000_000),
              help="How many of them, those that fit, run on the simulated engine, too.")
@click.option("--readers", metavar="M", default=0, show_default=True,
              type=click.IntRange(0, 10_000_000), help="Damaged model files to read.")
@click.option("--format", "formats", default="all", show_default=True,
              type=click.Choice(["all", *FORMATS]), help="Cases of one format alone.")
@config_option(required=False, default="ecp5-25f")
@click.option("-o", "--output", "directory", metavar="DIR", default="build/fuzz",
              show_default=True, type=click.Path(path_type=Path),
              help="Folder for the file of a case that fails.")
def fuzz(seed, count, rtl, readers, formats, config, directory):
    """Compare random models with TFLite's reference kernels and ONNX Runtime; damage files.

    A case is a graph of some random operators with all their attributes, scales and zero points,
    from simple to extreme, and frames for it. The golden model's tensors must equal the runtime's
    in every element; save for one step next to a tie that ONNX Runtime's float arithmetic
    rounds the other way, which are counted. Of the first K that fit the configuration, the engine's
    Verilog must give what golden gives.

    Reading M damaged files, small drawn ones and those that `celosia fetch` has put into
    build/models, must end in one line of error, or in a model that gives what the runtime gives.

    Every case has a number, which repeats it. Exit status 1 at the first that fails.
    """
    chosen = FORMATS if formats == "all" else (formats,)
    _check_oracles(chosen)
    with writing():
        check_writable(directory / "case")
    campaign = _Campaign(chosen, config)
    try:
        if count:
            campaign.compare(seed, count, rtl)
        if readers:
            campaign.read(seed, readers)
    except _CaseError as error:
        case = error.case
        path = directory / f"case-{case.number}{case.suffix}"
        with writing():
            write_whole(path, case.content)
        raise CheckFailed(f"Case {case.number} fails: {error}; its file: {path}; repeat it: "
                          f"celosia fuzz --seed {case.number} {case.options}") from None
    output().print(campaign.table())


def _check_oracles(formats):
    """Refuse to begin if a runtime is missing, or computes something else here."""
    missing = [ORACLES[name][1] for name in formats
               if importlib.util.find_spec(ORACLES[name][0]) is None]
    if missing:
        raise Refused(f"Cases are compared with {' and '.join(missing)}, not installed here; "
                      "install what the tests need: pip install -e '.[test]'")
    if "onnx" in formats:
        from scripts.fuzzing.onnx_oracle import runtime_saturates
        if runtime_saturates():
            raise Refused("ONNX Runtime's int8 products saturate at 16 bits on this processor (x86 "
                          "without VNNI), so that they prove nothing; use --format tflite")


class _CaseError(Exception):
    """A case that fails.

    Parameters
    ----------
    message : str
    case : _Case
    """

    def __init__(self, message, case):
        super().__init__(message)
        self.case = case


@dataclass(frozen=True)
class _Case:
    """A model file, and how to make it again.

    Members
    -------
    number : int
    content : bytes
    suffix : str
        End of the file's name.
    options : str
        Of the command that repeats the case, beside the number.
    """

    number: int
    content: bytes
    suffix: str
    options: str

    @contextmanager
    def failing(self):
        """Say of any error in the block that the case fails."""
        try:
            yield
        except MismatchError as error:
            raise _CaseError(str(error), self) from error
        except Exception as error:
            # Nothing that reads, compiles or computes a model may raise anything else.
            raise _CaseError(f"{type(error).__name__}: {error}", self) from error


class _Campaign:
    """Runs cases and counts them."""

    def __init__(self, formats, config):
        self.formats, self.config = formats, config
        self.modules = {name: importlib.import_module(f"scripts.fuzzing.{name}_cases")
                        for name in formats}
        self.cases, self.codes, self.ties = Counter(), Counter(), Counter()
        self.outcomes = {name: Counter() for name in formats}

    def numbers(self, seed, count):
        """(Number, module of its format, seed within that) of so many cases from ``seed`` on."""
        chosen = (number for number in itertools.count(seed)
                  if FORMATS[number % 2] in self.formats)
        return [(number, FORMATS[number % 2], number // 2)
                for number in itertools.islice(chosen, count)]

    def compare(self, seed, count, rtl):
        """Random models; the first ``rtl`` that fit are run on the engine, too."""
        simulation, jobs = self._simulation() if rtl else None, []
        with running(f"Comparing {count} random models", steps=count) as advance, \
                tempfile.TemporaryDirectory(prefix="celosia-") as folder:
            for number, name, inner in self.numbers(seed, count):
                module = self.modules[name]
                draw, content = module.drawn(inner)
                case = _Case(number, content, module.SUFFIX, "--count 1")
                with case.failing():
                    path = Path(folder, f"model{module.SUFFIX}")
                    path.write_bytes(content)
                    model = read_model(path)
                    frames = module.frames_of(draw, model)
                    self._count(name, *module.compare(model, content, frames))
                if self.cases["rtl"] + len(jobs) < rtl:
                    jobs += self._jobs(case, model, frames)
                if len(jobs) == TOGETHER:
                    self._run(simulation, jobs)
                    jobs = []
                advance()
            if jobs:
                self._run(simulation, jobs)

    def read(self, seed, count):
        """Damaged files."""
        models = [path for path in (FETCHED / f"{name}.tflite" for name in MODELS)
                  if path.is_file()]
        with ExitStack() as stack:
            bases = {name: module.bases(models) for name, module in self.modules.items()}
            sandboxes = {name: stack.enter_context(Sandbox(module.RUNTIME))
                         for name, module in self.modules.items()}
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="celosia-"))
            advance = stack.enter_context(
                running(f"Reading {count} damaged files", steps=count))
            for number, name, inner in self.numbers(seed, count):
                module = self.modules[name]
                content, check = module.wreck(inner, bases[name])
                case = _Case(number, content, module.SUFFIX, "--count 0 --readers 1")
                with case.failing():
                    path = Path(folder, f"model{module.SUFFIX}")
                    self.outcomes[name][check(path, sandboxes[name])] += 1
                advance()

    def table(self):
        """What was done."""
        grid = columns("compared with", ">cases", ">values", ">one step, next to a tie")
        for name in (*self.formats, "rtl"):
            if self.cases[name]:
                title = f"Verilog of {self.config.name}" if name == "rtl" else ORACLES[name][1]
                grid.add_row(title, f"{self.cases[name]:,}", f"{self.codes[name]:,}",
                             f"{self.ties[name]:,}")
        for name, outcomes in self.outcomes.items():
            for outcome, count in outcomes.most_common():
                grid.add_row(f"damaged {name} files: {outcome}", f"{count:,}", "", "")
        return grid

    def _count(self, name, ties, codes):
        self.cases[name] += 1
        self.ties[name] += ties
        self.codes[name] += codes

    def _simulation(self):
        with running(f"Compiling the Verilog of {self.config.name} with Verilator"):
            simulation = EngineSimulation(self.config)
            simulation.build()
        return simulation

    def _jobs(self, case, model, frames):
        """The case as a job in a list, which is empty if its model does not fit."""
        case = replace(case, options=f"--count 1 --rtl 1 --config {self.config.name}")
        with case.failing():
            # Every third case is for two frames at a time, of which one may be missing.
            batch = 2 if case.number % 3 == 0 else 1
            try:
                program = compile_network(model.network, self.config, batch=batch)
            except ValueError:
                return []
            # Every fifth, in turn of each format, is for as little memory as bands of lines allow.
            if case.number % 5 == 0:
                program = _squeezed(model.network, program)
            return [(case, Job(model.network, program, model.encode(frames)))]

    def _run(self, simulation, jobs):
        with jobs[0][0].failing():
            stops = stops_of(simulation, [job for _, job in jobs])
        for (case, job), stop in zip(jobs, stops, strict=True):
            with case.failing():
                self._count("rtl", 0, job.require_golden(stop))


def _squeezed(network, program):
    """The program for less and less activation memory, as long as there is one."""
    while True:
        words = needs(program)["activation_words"] * 7 // 8
        try:
            program = compile_network(network, replace(program.config, activation_words=words),
                                      batch=program.batch)
        except ValueError:
            return program
