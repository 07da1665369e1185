"""How the command speaks: errors in one line, and what is running on anything slow."""

import importlib
import signal
import threading
from contextlib import contextmanager

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

__all__ = ["CheckFailed", "Commands", "Refused", "columns", "output", "printable", "running"]


class _OneLine(click.ClickException):
    def __init__(self, message):
        # Names of files and parts of models may hold what a terminal would obey.
        super().__init__(_shown(" ".join(str(message).split())))

    def show(self, file=None):
        click.echo(f"celosia: {self.message}", file=file, err=file is None)


class CheckFailed(_OneLine):
    """What was asked for was done, or tried, and is not good enough: exit status 1."""

    exit_code = 1


class Refused(_OneLine):
    """The input is bad or not supported, and nothing was written: exit status 2."""

    exit_code = 2


@contextmanager
def _one_line():
    """Turn Click's errors of usage, three lines each, into :class:`Refused`."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        hint = f"; see {error.ctx.command_path} --help" if error.ctx else ""
        raise Refused(error.format_message().rstrip(".") + hint) from None


@contextmanager
def _terminable():
    """Let SIGTERM do what Ctrl-C does: end the tools that run, and remove what is half written."""
    if threading.current_thread() is not threading.main_thread():
        # Only there can it be handled.
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Commands(click.Group):
    """A group of commands whose errors of usage take one line.

    A command's module is imported when it is called for: the list of commands, and the commands
    that need little, are there at once.

    Parameters
    ----------
    modules : dict
        For each command's name its module, whose function of that name it is (with an underscore
        behind it if the plain name means something else there), and its help in one line.
    """

    def __init__(self, *arguments, modules, **options):
        super().__init__(*arguments, **options)
        self.modules = modules

    def list_commands(self, ctx):
        """Names of all commands, in the order of their table."""
        return [*super().list_commands(ctx), *self.modules]

    def get_command(self, ctx, cmd_name):
        """The command of a name, or None if there is none."""
        if cmd_name not in self.modules:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(self.modules[cmd_name][0])
        return getattr(module, f"{cmd_name}_", None) or getattr(module, cmd_name)

    def format_commands(self, ctx, formatter):
        """Write the list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.modules[name][1]) for name in self.list_commands(ctx)])

    def main(self, *arguments, **options):
        """Run the command that the arguments name."""
        with _terminable():
            return super().main(*arguments, **options)

    def parse_args(self, ctx, args):
        with _one_line():
            return super().parse_args(ctx, args)

    def invoke(self, ctx):
        with _one_line():
            return super().invoke(ctx)


@contextmanager
def running(message, *, steps=None):
    """Show on standard error that ``message`` is under way; yield a function that counts a step.

    On a terminal a spinner, the time so far and, given ``steps``, how many are done; anywhere
    else one plain line.
    """
    console, message = Console(stderr=True), _shown(message)
    if not console.is_terminal:
        click.echo(message, err=True)
        yield lambda: None
        return
    columns = [SpinnerColumn(), "{task.description}"]
    if steps is not None and steps > 1:
        columns += [BarColumn(bar_width=20), MofNCompleteColumn()]
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task(escape(message), total=steps)
        yield lambda: progress.advance(task)


def output():
    """Return standard output for :mod:`rich`: as wide as the terminal, never cut elsewhere."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=500)


def columns(*headings, title=None):
    """Return a plain table; a heading that starts with ``>`` is of a column aligned right."""
    grid = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for heading in headings:
        right = heading.startswith(">")
        grid.add_column(heading[right:], justify="right" if right else "left", no_wrap=True)
    return grid


def printable(text, most=None):
    """Return ``text`` from a file of others as it is safe to print, cut to ``most`` characters."""
    if most is not None and len(text) > most:
        text = f"{text[:most - 1]}…"
    return Text(_shown(text))


def _shown(text):
    return "".join(character if character.isprintable() else "?" for character in text)
