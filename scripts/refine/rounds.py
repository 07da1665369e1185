"""Rounds of moving cells and routing them again."""

import json
from math import inf

from scripts.console import CheckFailed

from .handover import hand_over
from .moves import Moves
from .slices import Slices
from .timing import Timing

__all__ = ["ROUNDS", "refine"]


#: Rounds unless told otherwise. Each takes minutes for a large engine.
ROUNDS = 12
#: Paths that the first round is to make shorter, and the last ones. Of what is moved some comes out
#: slower than estimated, so there must be ever less of it. The second is also the rank of the path
#: by whose length two designs are compared: one that is slow by a few paths is soon mended.
_FIRST, _LAST = 400, 25
#: Rounds after which nothing is better, and which are the last. A wire that moved may find a long
#: way only, which the round after sees.
_VAIN = 3
#: Routes of paths longer than this part of what they are to be shorter than, and which stay as they
#: are, give way to nothing: of those that others' take the way from, a tenth become longer by
#: 400 ps and more.
_FIXED = 0.85


def refine(report, paths, route, *, rounds, rams, advance=lambda: None):
    """Move cells of a routed design and route it again, up to ``rounds`` times.

    Parameters
    ----------
    report : dict
        nextpnr's report of the design, which has one clock.
    paths : tuple of path
        The design as nextpnr has written it, as JSON and as SDF. Both are overwritten.
    route : callable
        Has nextpnr read the JSON, route what has no routes, and write both files anew; raises
        CheckFailed if it finds no way, or none in time.
    rounds : int
        0 for none.
    rams : iterable of Site
        Places for block RAMs on the device.
    advance : callable
        Called for each round, made or not.

    Returns
    -------
    dict
        ``report`` with the clock and the longest path of the best round, and with ``refined``:
        the MHz before, the MHz after each round, None where ``route`` found no way, and how many
        cells moved until the best. None if it has written nothing, because all is being stopped.
    """
    state = _read(paths)
    logic = state[1]
    timing = Timing(logic)
    best = before = _mhz(timing)
    left, ends, found = _left(timing), _FIRST, True
    refined, reached, vain, moved, counted = report, [], 0, set(), 0
    while len(reached) < rounds and vain < _VAIN:
        moves = _move(*state, logic, paths, rams=rams, ends=ends, fixed=_FIXED if found else inf)
        if not moves:
            break
        try:
            route()
        except CheckFailed:
            # With less that moves and none fixed there may be a way.
            found = False
        else:
            found = True
            if not paths[1].exists():
                return None
            timing = Timing(paths[1].read_text(encoding="utf-8"), logic)
        reached.append(_mhz(timing) if found else None)
        faster = found and reached[-1] > best
        if faster:
            best, counted = reached[-1], len(moved | moves)
            refined = _report(report, timing)
        better = found and _left(timing) < left
        vain = 0 if faster or better else vain + 1
        ends = max(ends // 2, _LAST if better else 1)
        if better:
            state, left = _read(paths), _left(timing)
            moved |= moves
        advance()
    for _ in range(rounds - len(reached)):
        advance()
    return refined | {"refined": {"before_mhz": before, "mhz": reached, "moved": counted}}


def _read(paths):
    """Return a design, and its delays."""
    return tuple(path.read_text(encoding="utf-8") for path in paths)


def _move(design, delays, logic, paths, *, rams, ends, fixed):
    """Write to the first of ``paths`` what nextpnr is to read, remove the second, and return the
    cells that are elsewhere than in ``design``; without any write nothing. Routes on paths longer
    than ``fixed`` times the goal are to stay."""
    design, timing = json.loads(design), Timing(delays, logic)
    (module,) = design["modules"].values()
    slices = Slices(module["cells"], rams)
    moves = Moves(timing, slices, ends)
    moves.run()
    moved = slices.moved()
    if moved:
        hand_over(module, moved, anew=moves.slow(),
                  fixed=timing.drivers(fixed * moves.goal))
        paths[0].write_text(json.dumps(design), encoding="utf-8")
        paths[1].unlink(missing_ok=True)
    return moved


def _left(timing):
    """Return what of two designs the one to go on from has less of."""
    return timing.of_rank(_LAST), timing.longest


def _mhz(timing):
    return round(1e6 / timing.longest, 3)


def _report(report, timing):
    """Return ``report`` with the clock and the longest path of ``timing``."""
    (clock,) = report["fmax"]
    ends, _ = timing.lengths()
    end = int(ends[0])

    def place(pin):
        return dict(zip(("cell", "port"), timing.pins[pin], strict=True))

    parts = []
    for arc in timing.path(end):
        kind = "routing" if arc < timing.wires else "logic" if parts else "clk-to-q"
        begin = timing.source[arc] if parts else timing.sink[arc]
        parts.append({"type": kind, "delay": int(timing.delay[arc]) / 1000,
                      "from": place(begin), "to": place(timing.sink[arc])})
    parts.append({"type": "setup", "delay": timing.ends[end] / 1000,
                  "from": place(end), "to": place(end)})
    path = {"from": f"posedge {clock}", "to": f"posedge {clock}", "path": parts}
    return report | {"fmax": {clock: report["fmax"][clock] | {"achieved": _mhz(timing)}},
                     "critical_paths": [path]}
