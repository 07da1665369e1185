"""``celosia estimate``: cycles of a network by the model alone, and where they go."""

from dataclasses import asdict
from pathlib import Path

import click

from compiler.planner import ShortageError, plan_network
from compiler.simplify import simplified
from golden.layer import ConvLayer
from golden.pool import PoolLayer
from scripts.console import Refused, columns, output, printable
from scripts.figures import layer_figures, utilisation
from scripts.files import check_writable, write_whole
from scripts.models import load_model
from scripts.options import config_option, refusing, report_option, writing
from scripts.report import json_of
from scripts.shapes import KNOWN, read_shapes
from sim.cycles import Cycles

__all__ = ["estimate"]


#: Most characters of a layer's name in the table; the report has it whole.
NAME = 32
#: What of :class:`sim.cycles.Cycles` is lost, and what the table calls it.
LOSSES = {"channels": "channels", "pixels": "pixels", "memory": "memory", "lanes": "lanes",
          "coefficients": "set-up", "fill": "fill"}


@click.command(epilog=f"""
\b
Examples:
  celosia estimate resnet18 --memories unlimited
  celosia estimate mobilenet_v2 --memories unlimited --config ecp5-85f-16x16
  celosia estimate model.tflite --batch 8
  celosia estimate shapes.json --report build/estimate.json

\b
Networks that are known by name:
  {', '.join(KNOWN)}
""")
@click.argument("network", metavar="NETWORK")
@config_option(required=False)
@click.option("--memories", type=click.Choice(["configured", "unlimited"]), default="configured",
              show_default=True, help="The configuration's, or as large as the network needs.")
@click.option("--batch", metavar="N", default=1, show_default=True,
              type=click.IntRange(1, 256), help="Frames that are computed together.")
@report_option
def estimate(network, config, memories, batch, report):
    """Predict the cycles of a network, and say where they go.

    NETWORK is a name from below, a JSON file of layers' shapes (docs/estimates.md), or a model
    file as `celosia check` takes it. Nothing is simulated: the cycle model, which equals the
    hardware cycle by cycle, is asked for every layer.

    Cycles are those of the multiplications if every element of the array had one in every cycle
    (array), and those lost to: input channels that fill up words, and output channels that fill up
    columns (channels); output pixels that fill up rows (pixels); words that the units beside the
    array read, beyond what the multiplications would take (memory); results that come faster than
    the lanes take them (lanes); blocks shorter than the set-up of their coefficients (set-up);
    filling and draining (fill).
    """
    with writing():
        check_writable(report)
    name, net = _network(network)
    plan = _plan(net, config, batch, unlimited=memories == "unlimited")
    layers = [layer for layer in layer_figures(net, plan) if layer.instructions]
    total = sum((layer.cycles for layer in layers), Cycles())
    if report:
        with writing():
            write_whole(report, json_of(_report(name, net, plan, memories, layers, total)))
    console = output()
    console.print(_table(layers, _geometry(net, plan), total, config, batch))
    macs = net.macs() * batch
    multiplying = sum(layer.predicted_cycles for layer in layers if layer.macs)
    frames = f"{batch} frames together" if batch > 1 else "a frame"
    console.print(f"\n{name} on {config.name}, memories {memories}: {total.total:,} cycles for "
                  f"{frames}, {utilisation(macs, total.total, config):.1%} of the array's "
                  f"{config.rows}×{config.columns} multiplications;\n{multiplying:,} and "
                  f"{utilisation(macs, multiplying, config):.1%} without the layers that multiply "
                  "nothing", markup=False)


def _network(argument):
    """Name and :class:`golden.network.Network` that the argument means."""
    if argument in KNOWN or argument.lower().endswith(".json"):
        return Path(argument).stem, read_shapes(argument)
    model = load_model(Path(argument))
    return model.file, model.network


def _geometry(network, plan):
    """Output and kernel of every layer in words, as the model has them."""
    words = {}
    for each in (plan.network, network):        # The plan has copies; it may fold the first layer.
        shapes = each.shapes()
        for node in each.nodes:
            layer, kernel = node.layer, ""
            if isinstance(layer, ConvLayer | PoolLayer):
                size = layer.kernel if isinstance(layer, PoolLayer) else layer.weight.shape[2:]
                kernel = "×".join(map(str, size))
                kernel += "" if layer.stride == (1, 1) else "/" + "×".join(
                    str(step) for step in dict.fromkeys(layer.stride))
            words[layer.name] = "×".join(map(str, shapes[node.output])), kernel
    return words


def _plan(network, config, batch, *, unlimited):
    """The :class:`compiler.plan.Plan` of a network, as it would be compiled."""
    with refusing():
        try:
            return plan_network(simplified(network), config, batch, unlimited=unlimited)
        except ShortageError as error:
            raise Refused(f"{error}; --memories unlimited leaves that aside") from None


def _table(layers, geometry, total, config, batch):
    grid = columns("layer", "computes", ">output", ">kernel", ">MACs", ">cycles", ">utilisation",
                   ">array", *(f">{heading}" for heading in LOSSES.values()))
    macs = sum(layer.macs for layer in layers) * batch
    rows = [(layer.name, layer.op, *geometry[layer.name], layer.macs * batch, layer.cycles)
            for layer in layers]
    for name, op, size, kernel, count, cycles in [*rows, ("all", "", "", "", macs, total)]:
        if cycles is total:
            grid.add_row()
        grid.add_row(printable(name, NAME), op, size, kernel, f"{count:,}" if count else "",
                     f"{cycles.total:,}",
                     f"{utilisation(count, cycles.total, config):.1%}" if count else "",
                     *(f"{round(part):,}" if part else "" for part in _parts(cycles)))
    shares = [f"{part / total.total:.1%}" for part in _parts(total)]
    grid.add_row("share", "", "", "", "", "100.0%", "", *shares)
    return grid


def _parts(cycles):
    """What the multiplications take, then each loss."""
    return [cycles.compute, *(getattr(cycles, name) for name in LOSSES)]


def _report(name, network, plan, memories, layers, total):
    """The figures as the report has them."""
    config, macs = plan.config, network.macs() * plan.batch
    return {
        "network": name, "config": config.name, "rows": config.rows, "columns": config.columns,
        "memories": memories, "batch": plan.batch, "macs": macs, "predicted_cycles": total.total,
        "utilisation": utilisation(macs, total.total, config), "cycles": asdict(total),
        "layers": [{"name": layer.name, "op": layer.op, "macs": layer.macs * plan.batch,
                    "predicted_cycles": layer.predicted_cycles, "cycles": asdict(layer.cycles)}
                   for layer in layers]}
