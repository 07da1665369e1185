"""Refinement of a placement by the delays of its routing, on devices of family ECP5.

nextpnr places by an estimate of delays that its routing falls short of by a third, and so shortens
many paths that need not be, and not enough those that matter. Here cells on the longest paths move
to where, by the delays of the routed design, these become shorter; what is tied to them is routed
again, the rest keeps its routes; and so on from what comes out.
"""

from .rounds import ROUNDS, refine

__all__ = ["ROUNDS", "refine"]
