"""Whatever is wrong, the engine stops and says so; after a reset it runs as if nothing had been."""

from dataclasses import replace

import numpy as np
import pytest

from compiler.program import compile_network
from golden.elementwise import ElementwiseLayer
from golden.layer import ConvLayer
from golden.network import Network
from golden.pool import PoolLayer
from hdl.isa import INSTRUCTION_WORDS, Destination, Opcode, Status
from sim.engine import frame_packets, load_packets, packet, start_packet
from sim.interpreter import Interpreter
from tests.cosim.engines import ENGINES, engine
from tests.cosim.test_engine import PATIENCE, beats_of, codes_of, interpreted


@pytest.fixture(params=["2x3 of 4 channels", "8x8"])
def simulation(request):
    """Engines on which a layer of one instruction takes all cases."""
    return engine(request.param)


def example(config):
    """A layer of one instruction, compiled, with three frames."""
    rng = np.random.default_rng(1)
    channels = 2 * config.channels
    layer = ConvLayer(
        name="example", weight=rng.integers(-128, 128, (config.columns, channels, 2, 3)),
        bias=rng.integers(-99, 99, config.columns), multiplier=np.full(config.columns, 2**30),
        shift=np.full(config.columns, 40), rounding="half_even", padding=(1, 0, 0, 2))
    program = compile_network(Network.chain([layer], (channels, 4, 3)), config)
    frames = rng.integers(-128, 128, (3, channels, 4, 3)).astype(np.int8)
    return layer, program, frames


def wrong_programs(config, program):
    """(what is wrong, status, fields to change by instruction)."""
    opcodes = [fields["opcode"] for fields in program.instructions]
    receive, following = (index for index, opcode in enumerate(opcodes)
                          if opcode == Opcode.RECEIVE)
    conv, send, end = map(opcodes.index, (Opcode.CONV, Opcode.SEND, Opcode.END))
    fields, sent = program.instructions[conv], program.instructions[send]
    illegal, beyond = Status.ILLEGAL_INSTRUCTION, Status.ILLEGAL_ADDRESS
    for index, opcode in ((receive, 6), (conv, 7), (following, 8), (send, 15), (end, 9)):
        yield f"opcode {opcode}", illegal, {index: {"opcode": opcode}}
    for name in ("last_step", "pixels", "tiles"):
        for change in (-1, 1):
            yield f"{name} {change:+}", illegal, {conv: {name: fields[name] + change}}
    for name in ("kernel_height", "kernel_width", "tap_words", "out_height", "out_width",
                 "frames"):
        yield f"{name} + 1", illegal, {conv: {name: fields.get(name, 0) + 1}}
    yield "send, pixels - 1", illegal, {send: {"pixels": sent["pixels"] - 1}}
    yield "send, tiles + 1", illegal, {send: {"tiles": sent["tiles"] + 1}}
    yield "send, blocks", illegal, {send: {"blocks": 1}}
    yield "send, taps", illegal, {send: {"last_step": 1, "kernel_width": 1}}

    activations = config.activation_words
    yield "read", beyond, {conv: {"base": activations - 2}}
    yield "send from the topmost address", beyond, {send: {"base": 0xFFFF}}
    yield "write", beyond, {conv: {"out_base": activations - 1}}
    yield "write below zero", beyond, {conv: {"out_base": 0, "out_step": 0xFFFF}}
    yield "send", beyond, {send: {"base": activations - 1}}
    yield "receive", beyond, {receive: {"base": activations - 1}}
    yield "receive the next", beyond, {following: {"base": activations - 1}}
    yield "weights", beyond, {conv: {
        "weight_base": config.weight_words - len(program.weights) + 1}}
    yield "weights beyond 16 bits", beyond, {conv: {"weight_base": 0xFFFF}}
    yield "coefficients", beyond, {conv: {
        "coefficient_base": config.coefficient_words - config.columns + 1}}
    yield "end", beyond, {end: {"base": config.program_words - INSTRUCTION_WORDS + 1}}
    yield "end beyond 16 bits", beyond, {end: {"base": 0xFFFF}}


def units_example(config):
    """A layer for each unit: two on the window unit's lines, and tables; with three frames."""
    rng = np.random.default_rng(2)
    channels = 2 * config.channels
    window = ConvLayer(
        name="window", weight=rng.integers(-128, 128, (channels, 1, 3, 3)), group=channels,
        bias=rng.integers(-99, 99, channels), multiplier=np.full(channels, 2**30),
        shift=np.full(channels, 38), rounding="half_even", padding=(1, 1, 1, 1))
    pool = PoolLayer(name="pool", kind="max", kernel=(2, 2))
    table = ElementwiseLayer(name="table", tables=rng.integers(-99, 99, (1, 256)),
                             input_unsigned=(False,))
    network = Network.chain([window, pool, table], (channels, 4, 5))
    frames = rng.integers(-128, 128, (3, channels, 4, 5)).astype(np.int8)
    return network, compile_network(network, config), frames


def wrong_units(config, program):
    """(what is wrong, status, fields to change by instruction) of layers on other units."""
    opcodes = [fields["opcode"] for fields in program.instructions]
    window, pool = map(opcodes.index, (Opcode.DEPTHWISE, Opcode.VECTOR))
    table = opcodes.index(Opcode.VECTOR, pool + 1)
    illegal, beyond = Status.ILLEGAL_INSTRUCTION, Status.ILLEGAL_ADDRESS
    fields = program.instructions[window]

    def raster(height, width):
        pixels = height * width
        return {"out_height": height - 1, "out_width": width - 1, "pixels": pixels - 1,
                "tiles": -(-pixels // config.rows) - 1,
                "out_pixels": max(1, height - 2) * max(1, width - 2) - 1}

    for name in ("window_stride_y", "window_stride_x"):
        yield f"{name} of zero", illegal, {window: {name: 0}}
        yield f"{name} + 1", illegal, {window: {name: 2}}
    for change in (-1, 1):
        for name in ("out_pixels", "pixels", "tiles"):
            yield f"window, {name} {change:+}", illegal, {window: {name: fields[name] + change}}
        for name in ("last_step", "pixels", "tiles"):
            value = program.instructions[pool][name] + change
            yield f"pool, {name} {change:+}", illegal, {pool: {name: value}}
    yield "window, two rows", illegal, {window: raster(2, 7)}
    yield "window, two columns", illegal, {window: raster(6, 2)}
    yield "window, a line too long", illegal, {window: raster(3, config.window_width + 1)}
    yield "window, taps", illegal, {window: {"last_step": 1, "kernel_width": 1}}
    yield "window, words of a tap", illegal, {window: {"last_step": 1, "tap_words": 1}}

    for what, index in (("window", window), ("pool", pool), ("table", table)):
        yield f"{what}, read", beyond, {index: {"base": config.activation_words - 2}}
        yield f"{what}, write", beyond, {index: {"out_base": config.activation_words - 1}}
        records = 2 * config.channels + 256 * (what == "table")
        yield f"{what}, coefficients", beyond, {
            index: {"coefficient_base": config.coefficient_words - records + 1}}
    yield "window, weights", beyond, {window: {
        "weight_base": config.weight_words - len(program.weights) + 1}}


def wrong_packets(config):
    """(what is wrong, status, beats) while no program runs."""
    sizes = {Destination.PROGRAM: (4, config.program_words),
             Destination.WEIGHTS: (config.columns, config.weight_words),
             Destination.COEFFICIENTS: (9, config.coefficient_words),
             Destination.ACTIVATIONS: (config.channels, config.activation_words)}
    for destination, (size, depth) in sizes.items():
        whole = packet(destination, 0, np.ones((3, size), np.uint8))
        name = destination.name.lower()
        yield f"{name}: beyond", Status.ILLEGAL_ADDRESS, packet(
            destination, depth - 2, np.ones((3, size), np.uint8))
        yield f"{name}: far beyond", Status.ILLEGAL_ADDRESS, packet(
            destination, 0xFFFF, np.ones((1, size), np.uint8))
        for beats in range(1, len(whole)):
            short = whole[:beats].copy()
            short[-1, 4] = 1
            yield f"{name}: {beats} beats", Status.SHORT_PACKET, short
        long = np.concatenate([whole, whole[-1:]])
        long[-2, 4] = 0
        yield f"{name}: a beat too many", Status.LONG_PACKET, long
        none = whole.copy()
        none[1, :4] = 0
        yield f"{name}: no words", Status.SHORT_PACKET, none
    for number in range(max(Destination) + 1, 16):
        yield f"destination {number}", Status.ILLEGAL_PACKET, packet(
            number, 0, np.ones((3, 4), np.uint8))
    start = start_packet(0, 1)
    yield "no frames", Status.SHORT_PACKET, start_packet(0, 0)
    yield "start: one beat", Status.SHORT_PACKET, start[1:]
    long = np.concatenate([start, start[-1:]])
    long[1, 4] = 0
    yield "start: three beats", Status.LONG_PACKET, long
    for address in (config.program_words - INSTRUCTION_WORDS + 1, config.program_words, 0xFFFF):
        yield f"start at {address}", Status.ILLEGAL_ADDRESS, start_packet(address, 1)


def wrong_frames(program, frames):
    """(what is wrong, status, beats) after the start of the program."""
    packed = [program.pack(codes) for codes in program.batches(frames)]
    short, long = packed[1][:-1], np.concatenate([packed[1], packed[1][:1]])
    yield "short frame", Status.SHORT_PACKET, frame_packets([packed[0], short])
    yield "long frame", Status.LONG_PACKET, frame_packets([packed[0], long])
    yield "first frame short", Status.SHORT_PACKET, frame_packets([short])
    yield "first frame long", Status.LONG_PACKET, frame_packets([long])
    cut = frame_packets(packed[:2])[:-1]
    cut[-1, 4] = 1
    yield "cut frame", Status.SHORT_PACKET, cut
    late = frame_packets(packed[:2])
    late[-1, 4] = 0
    yield "frame with a beat too many", Status.LONG_PACKET, np.concatenate([late, late[-1:]])
    for destination in (Destination.PROGRAM, Destination.WEIGHTS, Destination.COEFFICIENTS,
                        Destination.ACTIVATIONS):
        yield f"{destination.name.lower()} while it runs", Status.ILLEGAL_PACKET, packet(
            destination, 0, np.ones((1, 9), np.uint8))
    yield "start while it runs", Status.ILLEGAL_PACKET, start_packet(0, 1)


@pytest.mark.parametrize("stall", [0, 100])
def test_stops_with_the_reason_and_runs_after_a_reset(simulation, stall):
    config = simulation.config
    layer, program, frames = example(config)
    good = beats_of(program, frames)
    loaded = np.concatenate([load_packets(program), start_packet(0, len(frames))])
    cases = list(wrong_packets(config))
    cases += [(name, status, np.concatenate([loaded, beats]))
              for name, status, beats in wrong_frames(program, frames)]
    for name, status, changes in wrong_programs(config, program):
        instructions = tuple({**fields, **changes.get(index, {})}
                             for index, fields in enumerate(program.instructions))
        cases.append((name, status, beats_of(replace(program, instructions=instructions), frames)))

    sections = [beats for _, _, case in cases for beats in (case, good)]
    stops = simulation.session(sections, stall=stall, seed=7, patience=PATIENCE)

    golden = layer(frames)
    for (name, status, _), stop, after in zip(cases, stops[::2], stops[1::2], strict=True):
        assert stop.statuses == (status,), name
        assert after.statuses == (Status.DONE,), name
        np.testing.assert_array_equal(codes_of(program, after.beats), golden, name)


@pytest.mark.parametrize("stall", [0, 100])
def test_layers_on_other_units_stop_it_as_well(stall):
    simulation = engine("4x4")
    config = simulation.config
    network, program, frames = units_example(config)
    good, golden = beats_of(program, frames), network(frames)
    cases = []
    for name, status, changes in wrong_units(config, program):
        instructions = tuple({**fields, **changes.get(index, {})}
                             for index, fields in enumerate(program.instructions))
        cases.append((name, status, beats_of(replace(program, instructions=instructions), frames)))

    stops = simulation.session([beats for _, _, case in cases for beats in (case, good)],
                               stall=stall, seed=8, patience=PATIENCE)

    for (name, status, _), stop, after in zip(cases, stops[::2], stops[1::2], strict=True):
        assert stop.statuses == (status,), name
        assert after.statuses == (Status.DONE,), name
        np.testing.assert_array_equal(codes_of(program, after.beats), golden, name)


@pytest.mark.parametrize("name", ["4x4", "8x8"])
def test_the_interpreter_knows_the_other_units(name):
    config = ENGINES[name]
    network, program, frames = units_example(config)
    np.testing.assert_array_equal(interpreted(program, frames), network(frames))
    packed = [program.pack(codes) for codes in program.batches(frames)]
    for what, expected, changes in wrong_units(config, program):
        interpreter = Interpreter(config)
        interpreter.load_program(replace(program, instructions=tuple(
            {**fields, **changes.get(index, {})}
            for index, fields in enumerate(program.instructions))))
        assert interpreter.run(packed).status == expected, what


@pytest.mark.parametrize("name", ["2x3 of 4 channels", "4x4", "8x8"])
def test_the_interpreter_gives_the_same_reason(name):
    config = ENGINES[name]
    _, program, frames = example(config)
    packed = [program.pack(codes) for codes in program.batches(frames)]

    def status(instructions, packed, address=0):
        interpreter = Interpreter(config)
        interpreter.load_program(replace(program, instructions=tuple(instructions)))
        return interpreter.run(packed, address=address, count=3).status

    assert status(program.instructions, packed) == Status.DONE
    for what, expected, changes in wrong_programs(config, program):
        assert status([{**fields, **changes.get(index, {})}
                       for index, fields in enumerate(program.instructions)],
                      packed) == expected, what
    for address in (config.program_words - INSTRUCTION_WORDS + 1, 0xFFFF):
        assert status(program.instructions, packed, address) == Status.ILLEGAL_ADDRESS
    short, long = packed[1][:-1], np.concatenate([packed[1], packed[1][:1]])
    assert status(program.instructions, [packed[0], short]) == Status.SHORT_PACKET
    assert status(program.instructions, [long]) == Status.LONG_PACKET
    assert status(program.instructions, packed[:2]) == Status.NONE


def test_a_stream_that_is_cut_off_leaves_the_engine_waiting_until_a_reset(simulation):
    """Nothing tells it from a stream that pauses: no status, no result, and no harm."""
    layer, program, frames = example(simulation.config)
    good = beats_of(program, frames)
    start = len(load_packets(program))
    cuts = [1, 2, 7, start - 1, start, start + 1, start + 2, start + 3, start + 9, len(good) - 1]

    stops = simulation.session([part for cut in cuts for part in (good[:cut], good)],
                               longest=[3000, 10**8] * len(cuts), patience=PATIENCE)

    golden = layer(frames)
    for cut, stop, after in zip(cuts, stops[::2], stops[1::2], strict=True):
        assert stop.statuses == (), cut
        assert after.statuses == (Status.DONE,), cut
        np.testing.assert_array_equal(codes_of(program, after.beats), golden, str(cut))
