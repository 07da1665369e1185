"""The convolution pipeline as a simulated device: layers in, codes and cycles out."""

import numpy as np

from hdl.pipeline import ConvPipeline
from sim.cosim import Simulation
from sim.lowering import lower

__all__ = ["PipelineSimulation"]


class PipelineSimulation:
    """Verilog of :class:`hdl.pipeline.ConvPipeline`, run by Verilator.

    Parameters
    ----------
    config : :class:`hdl.config.Configuration`
    """

    def __init__(self, config):
        self.config = config
        self.simulation = Simulation(ConvPipeline(config))

    def build(self):
        """Compile the simulator, unless that has been done before."""
        self.simulation.build()

    def run(self, work, **options):
        """Run layers back to back, without a pause or reset between them.

        Parameters
        ----------
        work : sequence of (ConvLayer, codes)
            Codes are of shape (N, Cin, H, W) and of the layer's input type.
        **options
            As for :meth:`sim.cosim.Simulation.run`.

        Returns
        -------
        outputs : list of int8 or uint8 arrays, shape (N, Cout, Hout, Wout)
        cycles : int
            Clock cycles from the first operand to the last result.
        """
        jobs = [lower(layer, codes, self.config) for layer, codes in work]
        payloads = {name: np.concatenate([job.payloads[name] for job in jobs])
                    for name in jobs[0].payloads}
        words = [job.words for job in jobs]
        outputs, cycles = self.simulation.run(payloads, {"outputs": sum(words)}, **options)
        parts = np.split(outputs["outputs"], np.cumsum(words)[:-1])
        return [job.assemble(part) for job, part in zip(jobs, parts, strict=True)], cycles
