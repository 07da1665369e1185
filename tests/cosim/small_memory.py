"""Programs for so little activation memory that layers must be cut into bands."""

from dataclasses import replace

from compiler.program import compile_network
from scripts.figures import needs

__all__ = ["is_cut", "squeezed"]

def is_cut(program):
    """Whether some layer takes more instructions than it has blocks of channels that differ."""
    starts = [(index, fields["weight_base"], fields["coefficient_base"])
              for index, fields in zip(program.layer_of, _layers(program), strict=True)]
    return len(set(starts)) < len(starts)


def _layers(program):
    return [fields for fields in program.instructions if "out_groups" in fields]


def squeezed(rng, network, config, batch):
    """A program for so little memory that layers are cut: down to the least that will do, in steps
    of random size. None if no layer can be cut, or other memories are too small.

    Parameters
    ----------
    rng : numpy.random.Generator
    network : golden.network.Network
    config : hdl.config.Configuration
    batch : int
    """
    found, words = [], 65536
    while True:
        try:
            program = compile_network(network, replace(config, activation_words=words),
                                      batch=batch)
        except ValueError as error:
            if not str(error).startswith(("The network needs", "Configuration activation_words")):
                raise
            return found[rng.integers(len(found))] if found else None
        if is_cut(program):
            found.append(program)
        words = int(needs(program)["activation_words"] * rng.uniform(0.75, 1) - 1)
