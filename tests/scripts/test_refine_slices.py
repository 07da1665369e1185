"""What of a placed design may be where."""

from scripts.floorplan import Site
from scripts.refine.slices import Slices
from tests.scripts.placed import cell, flip_flop, table


def test_what_goes_with_what():
    cells = {"one": flip_flop((2, 2), 0, CE=10, LSR=20, M=5),
             "like": flip_flop((3, 2), 0, CE=10, LSR=20, M=6),
             "enabled": flip_flop((4, 2), 0, CE=11, LSR=20, M=7),
             "reset": flip_flop((5, 2), 0, CE=10, LSR=21, M=8),
             "inverted": flip_flop((6, 2), 0, CE=10, LSR=20, M=9),
             "asynchronous": flip_flop((7, 2), 0, CE=10, LSR=20, M=9)}
    cells["inverted"]["parameters"]["CEMUX"] = "INV"
    cells["asynchronous"]["parameters"]["SRMODE"] = "ASYNC"
    slices = Slices(cells)
    room, blocking = {}, {}
    for name in list(cells)[1:]:
        group = slices.group(name)
        assert group.members == ((name, "FF", 0, 0),)
        place = slices.where(group)
        slices.take(group)
        room[name] = slices.room(group, (2, 2))
        blocking[name] = [len(slices.blocking(group, (2, 2), first)) for first in (0, 1, 7)]
        slices.put(group, *place)
    # The same slice; another slice; another tile.
    assert room == {"like": 1, "enabled": 2, "reset": None, "inverted": 2, "asynchronous": None}
    # Who is in its place would have to go, or is not like it in the slice or the tile.
    assert blocking == {"like": [1, 0, 0], "enabled": [1, 1, 0], "reset": [1, 1, 1],
                        "inverted": [1, 1, 0], "asynchronous": [1, 1, 1]}


def test_a_flip_flop_beside_a_pair_of_tables_has_no_input_of_its_own():
    cells = {"even": table((2, 2), 0, [("M", 5)]), "odd": table((2, 2), 1),
             "other": flip_flop((3, 2), 0, M=6)}
    cells["even"]["connections"] |= {"F1": [8], "OFX": [9]}
    cells["odd"]["connections"]["F"] = [8]
    slices = Slices(cells)
    assert slices.group("odd") == slices.group("even")
    assert [name for name, *_ in slices.group("even").members] == ["even", "odd"]
    assert slices.group("even").step == 2
    group = slices.group("other")
    slices.take(group)
    assert slices.room(group, (2, 2)) == 1


def test_a_choice_among_four_tables_takes_half_a_tile():
    """Two pairs, between which a second choice is made in the slice of the first."""
    cells = {f"t{place}": table((2, 2), place, out=40 + place) for place in range(4)}
    for even, port in ((0, "FXA"), (2, "FXB")):
        cells[f"t{even}"]["connections"] |= {"F1": [41 + even], "OFX": [50 + even], "M": [5]}
        cells["t1"]["connections"][port] = [50 + even]
    cells["t1"]["connections"] |= {"M": [6], "OFX": [60]}
    cells |= {"fed": flip_flop((2, 2), 1, DI=60), "full": table((3, 2), 2),
              "far": table((4, 2), 7), "apart": table((2, 2), 6)}
    slices = Slices(cells)
    group = slices.group("fed")
    assert [name for name, *_ in group.members] == ["t0", "t1", "fed", "t2", "t3"]
    assert all(slices.group(f"t{place}") == group for place in range(4))
    assert group.step == 4
    assert slices.group("apart").members == (("apart", "K", 0, 0),)
    slices.take(group)
    assert [slices.room(group, (x, 2)) for x in (2, 3, 4)] == [0, 4, 0]
    slices.put(group, (3, 2), 4)
    assert cells["t1"]["attributes"]["NEXTPNR_BEL"] == "X3/Y2/SLICEC.K1"


def test_tables_take_what_they_feed_along():
    cells = {"table": table((2, 2), 3, out=4), "fed": flip_flop((2, 2), 3, DI=4),
             "beside": flip_flop((2, 2), 2, M=6), "there": table((3, 2), 0)}
    slices = Slices(cells)
    group = slices.group("fed")
    assert group == slices.group("table")
    slices.take(group)
    assert slices.room(group, (3, 2)) == 1
    slices.put(group, (3, 2), 1)
    assert [cells[name]["attributes"]["NEXTPNR_BEL"] for name in ("table", "fed", "beside")] == [
        "X3/Y2/SLICEA.K1", "X3/Y2/SLICEA.FF1", "X2/Y2/SLICEB.FF0"]


def test_carry_chains_stay_whole():
    chain = {f"bit{index}": table((2 + index // 8, 2), index % 8, [("FCI", 100 + index)],
                                  MODE="CCU2") for index in range(10)}
    for index in range(10):
        chain[f"bit{index}"]["connections"]["FCO"] = [101 + index]
    cells = chain | {"fed": flip_flop((3, 2), 1, DI=50), "low": table((5, 4), 7),
                     "next": table((6, 4), 7)}
    slices = Slices(cells)
    group = slices.group("bit4")
    assert group.is_wide
    assert group == slices.group("fed")
    assert [name for name, *_ in group.members] == [*chain, "fed"]
    slices.take(group)
    # Its first tile must be free as a whole, of the second two places.
    assert [slices.room(group, (x, 4)) for x in (5, 6)] == [None, None]
    assert slices.room(group, (5, 2)) == 0
    slices.put(group, (5, 2), 0)
    assert slices.at["bit9"] == slices.at["fed"] == (6, 2)


def test_memory_in_tables_moves_as_a_whole():
    """With what it feeds, to where no flip-flop is reset; and nothing comes beside it."""
    ram = {f"bit{place}": table((2, 2), place, out=40 + place, MODE="DPRAM") for place in range(4)}
    ram |= {f"block{place}": table((2, 2), place, MODE="RAMW_BLOCK") for place in (4, 5)}
    ram |= {"fed": flip_flop((2, 2), 1, DI=41), "writer": cell("TRELLIS_RAMW", "X2/Y2/SLICEC.RAMW")}
    cells = ram | {"plain": flip_flop((2, 2), 5, M=4), "other": flip_flop((3, 3), 5, M=4),
                   "reset": flip_flop((4, 2), 7, M=4, LSR=9), "low": table((5, 2), 5),
                   "high": table((6, 2), 6)}
    slices = Slices(cells)
    group = slices.group("writer")
    assert sorted(name for name, *_ in group.members) == sorted(ram)
    assert all(slices.group(name) == group for name in ram)
    assert group.is_wide
    assert slices.group("plain").members == (("plain", "FF", 0, 0),)

    def room(name, tile):
        moving = slices.group(name)
        home = slices.where(moving)
        slices.take(moving)
        found = slices.room(moving, tile)
        slices.put(moving, *home)
        return found
    assert room("other", (2, 2)) is None
    assert [room("writer", (x, 2)) for x in (3, 4, 5, 6)] == [0, None, None, 0]
    slices.take(group)
    slices.put(group, (6, 2), 0)
    assert cells["writer"]["attributes"]["NEXTPNR_BEL"] == "X6/Y2/SLICEC.RAMW"
    assert cells["block5"]["attributes"]["NEXTPNR_BEL"] == "X6/Y2/SLICEC.K1"
    assert slices.at["fed"] == (6, 2)
    assert [room("other", (x, 2)) for x in (2, 6)] == [0, None]


def test_memory_that_is_chosen_among_stays():
    cells = {"ram": table((2, 2), 1, out=41, MODE="DPRAM"), "choice": table((2, 2), 0),
             "writer": cell("TRELLIS_RAMW", "X2/Y2/SLICEC.RAMW")}
    cells["choice"]["connections"] |= {"F1": [41]}
    assert Slices(cells).group("ram") is None


def test_block_rams_move_among_their_sites():
    rams = [Site(4, x, f"X{x}/Y4/EBR{x}") for x in (3, 5, 7)]
    cells = {"ram": cell("DP16KD", "X3/Y4/EBR3"), "other": cell("DP16KD", "X5/Y4/EBR5"),
             "logic": table((3, 3), 0)}
    slices = Slices(cells, rams)
    group = slices.group("ram")
    slices.take(group)
    assert [slices.room(group, (x, 4)) for x in (3, 4, 5, 7)] == [0, None, None, 0]
    slices.put(group, (7, 4), 0)
    assert cells["ram"]["attributes"]["NEXTPNR_BEL"] == "X7/Y4/EBR7"
