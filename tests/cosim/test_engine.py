"""The engine runs whatever programs are legal as the interpreter and golden do, at any pace."""

from dataclasses import replace

import numpy as np
import pytest

from hdl.isa import Status
from sim.engine import (
    activation_words,
    as_beats,
    frame_packets,
    load_packets,
    start_packet,
    wait_beat,
)
from sim.interpreter import Interpreter
from tests.cosim.engines import ENGINES, engine
from tests.cosim.networks import network
from tests.cosim.programs import echo_job, echoed, random_job, send_all

#: Cycles in which nothing comes in or out, at most: a layer's.
PATIENCE = 300_000


@pytest.fixture(params=ENGINES)
def simulation(request):
    return engine(request.param)


def beats_of(program, frames):
    """Packets of a compiled program, its start, and its frames."""
    batches = [program.pack(codes) for codes in program.batches(frames)]
    return np.concatenate([load_packets(program), start_packet(0, len(batches)),
                           frame_packets(batches)])


def codes_of(program, beats):
    """Output codes (N, C, H, W) from beats."""
    channels = program.config.channels
    words = activation_words(beats, channels).reshape(-1, program.output_words, channels)
    return np.concatenate([program.unpack(batch) for batch in words])


def interpreted(program, frames):
    """Output codes (N, C, H, W) as the interpreter has them."""
    interpreter = Interpreter(program.config)
    interpreter.load_program(program)
    outcome = interpreter.run([program.pack(codes) for codes in program.batches(frames)])
    assert outcome.status == Status.DONE
    return np.concatenate([program.unpack(words) for words in outcome.sent])[:len(frames)]


@pytest.mark.parametrize("stall", [0, 64, 200])
def test_networks_match_interpreter_and_golden(simulation, stall):
    """Networks of every geometry, three at a time without a reset between them."""
    config = simulation.config
    seed = 100 + stall
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    work = [network(rng, config, macs=500 * config.rows * config.columns) for _ in range(12)]
    for drawn, program, frames in work:
        np.testing.assert_array_equal(interpreted(program, frames), drawn(frames))
    sections = [np.concatenate([part for _, program, frames in work[start:start + 3]
                                for part in (beats_of(program, frames), wait_beat())])
                for start in range(0, len(work), 3)]

    stops = simulation.session(sections, stall=stall, seed=seed, patience=PATIENCE)

    beats = np.concatenate([stop.beats for stop in stops])
    assert [stop.statuses for stop in stops] == [(Status.DONE,) * 3] * len(sections)
    for number, (drawn, program, frames) in enumerate(work):
        batches = -(-len(frames) // program.batch)
        count = program.output_words * -(-config.channels // 4) * batches
        np.testing.assert_array_equal(codes_of(program, beats[:count])[:len(frames)],
                                      drawn(frames), f"network {number}")
        beats = beats[count:]
    assert not len(beats)


@pytest.mark.parametrize("stall", [0, 64, 200])
def test_any_program_matches_the_interpreter(simulation, stall):
    """Programs that no compiler would write. The whole activation memory is compared."""
    seed = 200 + stall
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    jobs = [random_job(rng, simulation.config, longest=1500) for _ in range(10)]

    stops = simulation.session([job.beats() for job in jobs], stall=stall, seed=seed,
                               patience=PATIENCE)

    for number, (job, stop) in enumerate(zip(jobs, stops, strict=True)):
        outcome = job.interpret(simulation.config)
        assert stop.statuses == (outcome.status,) == (Status.DONE,), f"program {number}"
        np.testing.assert_array_equal(
            stop.beats, np.concatenate([as_beats(words) for words in outcome.sent]),
            f"program {number}")


def test_many_frames_back_to_back(simulation):
    """Each frame arrives while the one before is worked on; each result is its own."""
    print("seed 300")
    rng = np.random.default_rng(300)
    drawn, program, frames = network(rng, simulation.config, macs=2000)
    low, high = np.iinfo(frames.dtype).min, np.iinfo(frames.dtype).max
    frames = rng.integers(low, high + 1, (20, *frames.shape[1:])).astype(frames.dtype)

    outputs, _ = simulation.run(program, frames, stall=30, seed=300, patience=PATIENCE)

    np.testing.assert_array_equal(outputs, drawn(frames))


@pytest.mark.parametrize("stall", [0, 100])
def test_a_frame_is_read_before_the_next_overwrites_it(simulation, stall):
    print("seed 600")
    job = echo_job(np.random.default_rng(600), simulation.config, words=90, count=5)
    stop, = simulation.session([job.beats()], stall=stall, seed=600)
    assert stop.statuses == (Status.DONE,)
    np.testing.assert_array_equal(
        stop.beats,
        np.concatenate([as_beats(echoed(frame, simulation.config)) for frame in job.frames]))


def test_a_soft_reset_forgets_a_frame_that_has_arrived(simulation):
    """It arrives while something else is sent; what follows the reset waits for its own frame."""
    print("seed 700")
    job = echo_job(np.random.default_rng(700), simulation.config, words=90, count=1)
    receive, send, *rest = job.instructions
    cut = replace(job, instructions=[receive, send_all(simulation.config, 90), send, *rest])
    stops = simulation.session([cut.beats(), job.beats()], longest=[20, 10**8])
    assert [stop.statuses for stop in stops] == [(), (Status.DONE,)]
    np.testing.assert_array_equal(stops[1].beats, as_beats(
        echoed(job.frames[0], simulation.config)))


@pytest.mark.parametrize("stall", [0, 100])
def test_runs_after_soft_resets_at_any_cycle(simulation, stall):
    """Cut off after any number of cycles, a run leaves nothing behind but memory contents."""
    seed = 400 + stall
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    jobs = [random_job(rng, simulation.config, longest=300) for _ in range(8)]
    beats = [job.beats() for job in jobs]
    sections, longest = [], []
    for whole in beats:
        # Somewhere in a packet, or so many cycles after the last one.
        sections += [whole[:rng.integers(len(whole))], whole, whole]
        longest += [int(rng.integers(30)), int(rng.integers(3000)), 10**8]

    stops = simulation.session(sections, longest=longest, stall=stall, seed=seed,
                               patience=PATIENCE)

    for number, (job, stop) in enumerate(zip(jobs, stops[2::3], strict=True)):
        outcome = job.interpret(simulation.config)
        assert stop.statuses == (Status.DONE,), f"program {number}"
        np.testing.assert_array_equal(
            stop.beats, np.concatenate([as_beats(words) for words in outcome.sent]),
            f"program {number}")


def test_runs_after_hard_resets_at_any_cycle(simulation):
    print("seed 500")
    rng = np.random.default_rng(500)
    drawn, program, frames = network(rng, simulation.config, macs=2000)
    start = len(load_packets(program))
    resets = rng.integers(start, start + 4000, 10).tolist()

    outputs, _ = simulation.run(program, frames, stall=10, seed=500, patience=PATIENCE,
                                reset_after=resets)

    np.testing.assert_array_equal(outputs, drawn(frames))
