# amaranth: UnusedElaboratable=no

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdl.isa import Opcode, Status
from hdl.sequencer import Sequencer
from tests.hdl.sequencer_bench import CONCERNS, LAYERS, path, run

END = {"opcode": Opcode.END, "base": 0}
CONV, DEPTHWISE, VECTOR, SEND, RECEIVE = ({"opcode": opcode} for opcode in (
    Opcode.CONV, Opcode.DEPTHWISE, Opcode.VECTOR, Opcode.SEND, Opcode.RECEIVE))


def random_program(source):
    """A prologue, and a part that is repeated."""
    program = []
    for _ in range(source.randint(1, 7)):
        opcode = source.choice([*LAYERS, Opcode.CONV, Opcode.SEND, Opcode.RECEIVE])
        fields = {"opcode": opcode, "wait": source.randrange(2),
                  "weight_base": source.getrandbits(16), "out_base": source.getrandbits(16),
                  "zero": source.randint(-128, 127), "tiles": source.getrandbits(16)}
        if opcode == Opcode.RECEIVE:
            fields["next"] = source.randrange(2)
        else:
            fields["wait_input"] = source.random() < 0.3
        if opcode in (Opcode.CONV, Opcode.VECTOR):
            fields["last_step"] = source.getrandbits(16)
        if opcode != Opcode.SEND:
            fields["blocks"] = source.getrandbits(12)
        program.append(fields)
    return [*program, {"opcode": Opcode.END, "base": source.randrange(len(program) + 1)}]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 3),
       pace=st.sampled_from([0.1, 0.5, 1]), address=st.sampled_from([0, 16, 100]))
def test_units_get_their_instructions_in_order(seed, frames, pace, address):
    """And none before what it may have to wait for: see :class:`World`."""
    program = random_program(random.Random(seed))
    result = run(program, frames=frames, address=address, seed=seed, pace=pace)
    expected = [(number, name) for number, fields in enumerate(path(program, frames))
                for name in sorted(CONCERNS[fields["opcode"]])]
    assert sorted((number, name) for _, name, number in result.taken) == expected
    (stop, status), = result.stopped
    assert status == Status.DONE
    assert result.busy == [cycle <= stop for cycle in range(len(result.busy))]


def test_reads_ahead_but_for_activations():
    """The layer before is not written: who does not ask for its results goes on."""
    program = [CONV, CONV, CONV | {"wait": 1}, CONV, END]
    result = run(program, withheld=["layer_done"], cycles=300)
    assert result.when("reader", 1) is not None
    assert {name for _, name, number in result.taken if number == 2} == (
        CONCERNS[Opcode.CONV] - {"reader"})
    assert not any(number == 3 for _, _, number in result.taken)


@pytest.mark.parametrize(("before", "after"), [
    (before, after) for before in (CONV, DEPTHWISE, VECTOR)
    for after in (CONV, DEPTHWISE, VECTOR) if before != after],
    ids=lambda fields: fields["opcode"].name)
def test_waits_for_results_of_another_unit(before, after):
    result = run([before, after, END], withheld=["layer_done"], cycles=200)
    assert result.when("writer", 1) is not None
    assert result.when("reader", 1) is None


@pytest.mark.parametrize("layer", [CONV, DEPTHWISE, VECTOR],
                         ids=lambda fields: fields["opcode"].name)
@pytest.mark.parametrize("withheld", ["all_read", "all_sent", "frame_ready", "window_loaded",
                                      "vector_loaded", "window", "vector"])
def test_reads_only_when_all_is_there(layer, withheld):
    result = run([layer | {"wait_input": 1}, END], withheld=[withheld], cycles=200)
    unit = {Opcode.DEPTHWISE: "window", Opcode.VECTOR: "vector"}.get(layer["opcode"])
    needed = {"all_sent", "frame_ready", unit, f"{unit}_loaded"}
    assert (result.when("reader", 0) is None) == (withheld in needed)


def test_a_frame_waits_for_who_still_reads():
    """To receive with `wait`: all results written, and all activations read."""
    for wait, withheld, taken in ((1, "all_read", False), (1, "layer_done", False),
                                  (0, "all_read", True), (0, "layer_done", True),
                                  (1, "idle", True)):
        program = [CONV, RECEIVE | {"wait": wait}, END]
        result = run(program, withheld=[withheld], cycles=200)
        assert (result.when("receiver", len(program) - 2) is not None) == taken


@pytest.mark.parametrize("withheld", ["idle", "layer_done"])
def test_is_done_when_all_is_done(withheld):
    result = run([CONV, END], withheld=[withheld], cycles=300)
    assert len({number for _, _, number in result.taken}) == 1
    assert not result.stopped
    assert all(result.busy)


@pytest.mark.parametrize("wrong", [
    *({"opcode": opcode} for opcode in range(6, 16)),
    SEND | {"last_step": 1}, SEND | {"last_step": 0x8000}, SEND | {"blocks": 1},
    SEND | {"blocks": 0x800}, DEPTHWISE | {"last_step": 1}, DEPTHWISE | {"last_step": 0x8000},
], ids=str)
def test_illegal_instructions(wrong):
    """No unit gets any of them."""
    result = run([CONV, wrong, CONV, END], expected=[CONV])
    assert [status for _, status in result.stopped] == [Status.ILLEGAL_INSTRUCTION]
    assert {number for _, _, number in result.taken} == {0}
    assert not any(result.busy[result.stopped[0][0] + 1:])


@pytest.mark.parametrize("absent", [DEPTHWISE, VECTOR], ids=lambda fields: fields["opcode"].name)
def test_instructions_for_units_that_are_not_there(absent):
    result = run([CONV, absent, END], absent={absent["opcode"]}, expected=[CONV])
    assert [status for _, status in result.stopped] == [Status.ILLEGAL_INSTRUCTION]
    others = [layer for layer in (CONV, DEPTHWISE, VECTOR) if layer != absent]
    result = run([*others, END], absent={absent["opcode"]})
    assert [status for _, status in result.stopped] == [Status.DONE]


@pytest.mark.parametrize(("program", "address", "status", "begun"), [
    ([CONV, END], 32, Status.DONE, 1),
    ([CONV, CONV], 32, Status.ILLEGAL_ADDRESS, 2),
    ([CONV], 48, Status.ILLEGAL_ADDRESS, 1),
    ([], 49, Status.ILLEGAL_ADDRESS, 0),
    ([], 64, Status.ILLEGAL_ADDRESS, 0),
    ([], 0xFFFF, Status.ILLEGAL_ADDRESS, 0),
    ([CONV, END | {"base": 4000}], 0, Status.ILLEGAL_ADDRESS, 1),
])
def test_addresses_beyond_the_program(program, address, status, begun):
    """Those of 64 words; what lies inside is carried out."""
    result = run(program, address=address, depth=64, frames=2 if address == 0 else 1,
                 expected=program[:begun])
    assert [status for _, status in result.stopped] == [status]
    assert len({number for _, _, number in result.taken}) == begun


@pytest.mark.parametrize("withheld", ["reader", "idle", "none"])
def test_halts_for_good(withheld):
    """Whatever it is about; what it has fetched is not offered any more from the next cycle on."""
    program = [CONV, CONV, END]
    for halt in range(1, 70, 7):
        result = run(program, withheld=[withheld], halt=halt, cycles=120)
        assert all(cycle <= halt + 1 for cycle, *_ in result.taken)
        assert not result.busy[-1]
        if withheld != "none":
            assert not result.stopped


def test_a_reset_forgets_everything():
    program = [RECEIVE | {"next": 1}, CONV | {"wait": 1}, CONV, SEND | {"wait": 1}, END]
    for cut_off in (1, 2, 16, 17, 18, 19, 20, 37, 60, 77):
        result = run(program, frames=2, cut_off=cut_off)
        assert [status for _, status in result.stopped] == [Status.DONE]


@pytest.mark.parametrize(("depth", "error", "message"), [
    (15, ValueError, r"^Depth must be 16 to 65536, not 15$"),
    (65537, ValueError, r"^Depth must be 16 to 65536, not 65537$"),
    (64.0, TypeError, r"^Depth must be an integer, not 64\.0$"),
])
def test_bad_depth(depth, error, message):
    with pytest.raises(error, match=message):
        Sequencer(depth=depth)
