"""Room for cells that move: in their way, others give way."""

import numpy as np

from .slices import names_of

__all__ = ["Legaliser"]


#: Tiles that what gives way to another goes at most, each way.
_GIVES_WAY = 6
#: What gives way may add this part of what a move saves.
_MAY_ADD = 0.3
#: Cells with more wires than this give way to nothing: routed again, these could become slow.
_MANY = 24
#: Groups that give way to a small one.
_OTHERS = 3


class Legaliser:
    """Finds places for groups of cells that move, and for what is there.

    Parameters
    ----------
    slices : Slices
        Of the routed design; they are as before after each call.
    costs : Costs
        Of the same.
    """

    def __init__(self, slices, costs):
        self._slices, self._costs = slices, costs
        self._away = set()

    def placed(self, groups, offset, gain, near=((0, 0),)):
        """Return the plan by which all ``groups`` go by ``offset``, which saves ``gain``, and what
        gives way to them, each with the first of ``near`` added that there is room for; or None."""
        plan, (across, down) = {}, offset
        homes = [self._slices.where(group)[0] for group in groups]
        for group in groups:
            self._take(group, plan)
        found = all(any(self._settle(group, (x + across + dx, y + down + dy), plan, _MAY_ADD * gain)
                        for dx, dy in near)
                    for group, (x, y) in zip(groups, homes, strict=True))
        places = {group: self._slices.where(group) for group in plan} if found else None
        self._undo(plan)
        return places

    def _take(self, group, plan):
        """Take ``group`` away; ``plan`` keeps where it was."""
        plan[group] = self._slices.where(group)
        self._slices.take(group)
        self._away.add(group)

    def _put(self, group, tile, first):
        self._slices.put(group, tile, first)
        self._away.discard(group)

    def _undo(self, plan):
        """Put all groups of ``plan`` back."""
        for group in plan:
            if group not in self._away:
                self._slices.take(group)
        for group, place in plan.items():
            self._put(group, *place)

    def _settle(self, group, tile, plan, allowed):
        """Put ``group`` into ``tile``, if need be in place of others, which go elsewhere for at
        most the cost ``allowed`` each; return whether it could be done."""
        first = self._slices.room(group, tile)
        if first is not None:
            self._put(group, tile, first)
            return True
        for first in self._slices.firsts(group):
            if not self._slices.suits(group, tile, first):
                continue
            others = dict.fromkeys(map(self._slices.group,
                                       self._slices.blocking(group, tile, first)))
            if (len(others) > max(_OTHERS, len(group.members))
                    or not all(self._yields(other, plan) for other in others)):
                continue
            own = {}
            for other in others:
                self._take(other, own)
            self._put(group, tile, first)
            if all(self._resettle(other, home, plan[group][0], allowed)
                   for other, (home, _) in own.items()):
                plan |= own
                return True
            self._slices.take(group)
            self._away.add(group)
            self._undo(own)
        return False

    def _yields(self, group, plan):
        """Whether ``group`` may give way to one that moves by ``plan``."""
        return group is not None and not group.is_wide and group not in plan and (
            group.is_memory or all(self._costs.count(name) <= _MANY for name, *_ in group.members))

    def _resettle(self, group, home, left, allowed):
        """Find a place for ``group`` that costs at most ``allowed`` more: near its ``home``, or in
        the tile that is ``left`` by what comes there."""
        names = names_of((group,))
        span = np.arange(-_GIVES_WAY, _GIVES_WAY + 1)
        across, down = (np.append(each, to - here) for each, to, here in zip(
            np.meshgrid(span, span), left, home, strict=True))
        costs = np.broadcast_to(self._costs.of(names, across, down), across.shape)
        more = costs - self._costs.of(names)
        # Of places that cost the same, the nearest.
        for index in np.lexsort((abs(across) + abs(down), more)):
            if more[index] > allowed:
                return False
            goal = int(home[0] + across[index]), int(home[1] + down[index])
            first = self._slices.room(group, goal)
            if first is not None:
                self._put(group, goal, first)
                return True
        return False
