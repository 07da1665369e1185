"""``celosia check``: what of a model maps to the engine, and what it takes."""

from dataclasses import dataclass, field, replace

import click

from compiler.program import compile_network
from scripts.console import Refused, columns, output, printable
from scripts.figures import MEMORIES, layer_figures, macs_of, needs, utilisation
from scripts.files import check_writable, write_whole
from scripts.models import survey_model
from scripts.options import (
    calibration_option,
    config_option,
    model_argument,
    report_option,
    writing,
)
from scripts.report import json_of

__all__ = ["check"]


#: Most characters of a node's name in the table; the report has it whole.
NAME = 32
#: Words of the largest memory that instructions can address.
ADDRESSABLE = 1 << 16


@click.command(epilog="""
\b
Examples:
  celosia check model.tflite
  celosia check model.onnx --config ecp5-25f --report build/check.json
  celosia check float.onnx --calibration images.npy
""")
@model_argument
@config_option(required=False)
@calibration_option
@report_option
def check(model, config, calibration, report):
    """Say what of a model maps to the engine, what does not, and what to do about it.

    The table shows for every node its operator, multiply-accumulates, predicted cycles, share of
    the array's multiplications in these cycles, and what it becomes; or why it does not map, and
    the remedy. Below: the words that the memories must hold, against the configuration's.

    Exit status 0 if everything maps and fits; 2 if not, and standard error then names the first
    fault.
    """
    with writing():
        check_writable(report)
    survey = survey_model(model, calibration)
    fit = _Fit.of(survey.model, config)
    rows = _rows(survey, fit)
    console = output()
    console.print(_node_table(rows, fit, config))
    if fit.needs:
        console.print()
        console.print(_memory_table(fit.needs, config))
    fault = str(survey.faults[0]) if survey.faults else fit.misfit
    if report:
        with writing():
            write_whole(report, json_of(_report(survey, config, rows, fit, fault)))
    if fault:
        more = len(survey.faults) - 1
        raise Refused(f"{fault} (and {more} more, see above)" if more > 0 else fault)
    console.print()
    console.print(printable(f"Everything maps, and fits {config.name}."))


@dataclass(frozen=True)
class _Fit:
    """What a model takes of a configuration, and why it does not fit, or None if it does.

    Members
    -------
    macs : dict of int
        Multiplications of a frame, for each layer of the model.
    needs : dict of int
        Words of each memory; empty if the configuration lacks more than memory.
    cycles : dict of int
        Predicted for each layer of the program, or, if only memories are too small, of one for
        large memories.
    misfit : str or None
    """

    macs: dict
    needs: dict = field(default_factory=dict)
    cycles: dict = field(default_factory=dict)
    misfit: str | None = None

    @classmethod
    def of(cls, model, config):
        if model is None:
            return cls({})
        macs = macs_of(model.network)
        try:
            program = compile_network(model.network, config)
        except ValueError as error:
            misfit, demands = f"{model.file}: {error}", getattr(error, "demands", {})
            large = replace(config, **dict.fromkeys(MEMORIES, ADDRESSABLE))
            try:
                program = compile_network(model.network, large) if demands else None
            except ValueError:
                program = None
            return cls(macs, demands, _cycles(model, program), misfit)
        return cls(macs, needs(program), _cycles(model, program))


def _cycles(model, program):
    return {} if program is None else {
        layer.name: layer.predicted_cycles for layer in layer_figures(model.network, program)}


def _rows(survey, fit):
    """What is known of every node of the model, and of layers that the program adds."""
    # Of several nodes that are one layer, the first one counts.
    left = dict.fromkeys([*fit.macs, *fit.cycles])
    rows = []
    for row in survey.rows:
        layers = [name for name in row.layer_names if name in left]
        for name in layers:
            del left[name]
        rows.append(_row(row.node, row.operator, row.mapped_to, row.reason, layers, fit))
    return rows + [_row(name, "", "a copy, made by the compiler", None, [name], fit)
                   for name in left]


def _row(node, operator, mapped_to, reason, layers, fit):
    return {"node": node, "operator": operator, "mapped_to": mapped_to, "reason": reason,
            "layers": layers, "macs": sum(fit.macs.get(name, 0) for name in layers),
            "predicted_cycles": sum(fit.cycles.get(name, 0) for name in layers)}


def _node_table(rows, fit, config):
    grid = columns("node", "operator", ">MACs", ">cycles", ">utilisation")
    grid.add_column("maps to", overflow="fold")
    for row in rows:
        grid.add_row(
            printable(row["node"], NAME), printable(row["operator"], NAME),
            *_counts(row["macs"], row["predicted_cycles"], config),
            printable(row["mapped_to"] or f"NOTHING: {row['reason']}"))
    if fit.macs:
        grid.add_row()
        grid.add_row("all", "", *_counts(*_totals(rows), config), "")
    return grid


def _totals(rows):
    return sum(row["macs"] for row in rows), sum(row["predicted_cycles"] for row in rows)


def _counts(macs, cycles, config):
    """Cells of multiplications, cycles and utilisation; empty where there is nothing to count."""
    share = f"{utilisation(macs, cycles, config):.1%}" if macs and cycles else ""
    return f"{macs:,}" if macs else "", f"{cycles:,}" if cycles else "", share


def _memory_table(needed, config):
    grid = columns("memory", ">words", f">{config.name} has", ">%")
    for name in MEMORIES:
        words = needed[name]
        available = getattr(config, name)
        grid.add_row(name.removesuffix("_words"), f"{words:,}", f"{available:,}",
                     f"{100 * words / available:.1f}", "too small" if words > available else "")
    return grid


def _report(survey, config, rows, fit, fault):
    for row in rows:
        row["utilisation"] = utilisation(row["macs"], row["predicted_cycles"], config)
    macs, cycles = _totals(rows)
    memories = {name: {"needed": fit.needs[name], "available": getattr(config, name)}
                for name in MEMORIES if fit.needs}
    return {
        "model": survey.file, "config": config.name, "rows": config.rows,
        "columns": config.columns, "maps": survey.model is not None,
        "fits": survey.model is not None and fit.misfit is None, "error": fault,
        "macs": macs, "predicted_cycles": cycles,
        "utilisation": utilisation(macs, cycles, config), "memories": memories,
        "nodes": rows}
