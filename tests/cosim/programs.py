"""Random programs that are legal, though no compiler would write them."""

from dataclasses import dataclass

import numpy as np

from hdl.isa import INSTRUCTION_WORDS, Destination, Opcode, assemble
from hdl.layouts import Rounding, pack_records
from hdl.operands import StoredCoefficients
from sim.engine import frame_packets, load_packets, packet, start_packet
from sim.interpreter import Interpreter
from sim.machine import read_addresses

__all__ = ["Job", "echo_job", "random_job", "send_all"]


@dataclass(kw_only=True)
class Job:
    """A program, what the memories hold before it, and its frames.

    Parameters
    ----------
    instructions : list of dict
    address : int
        Of the first instruction.
    weights, activations : uint8 arrays
    coefficients : list of dict
    frames : list of uint8 arrays
    count : int
        Frames that the start tells.
    """

    instructions: list
    address: int
    weights: np.ndarray
    activations: np.ndarray
    coefficients: list
    frames: list
    count: int

    def words(self):
        """Program memory, from address 0."""
        return [0] * self.address + [word for fields in self.instructions
                                     for word in assemble(**fields)]

    def beats(self):
        """The packets that load it, start it, and bring its frames."""
        parts = [load_packets(self), packet(Destination.ACTIVATIONS, 0, self.activations),
                 start_packet(self.address, self.count)]
        return np.concatenate(parts + ([frame_packets(self.frames)] if self.frames else []))

    def interpret(self, config):
        """The :class:`sim.interpreter.Outcome` of it."""
        interpreter = Interpreter(config)
        interpreter.load_program(self)
        interpreter.load(Destination.ACTIVATIONS, 0, self.activations)
        return interpreter.run(self.frames, address=self.address, count=self.count)


def random_job(rng, config, *, longest):
    """A :class:`Job` whose instructions take at most about ``longest`` cycles each.

    The frame has a place of its own at the beginning of activation memory; it may be read
    between the instruction that waits for it and the RECEIVE of the next. Results go anywhere
    behind it but where their own instruction reads. An instruction waits for earlier results if
    it reads any that may not be written yet, and now and then without need; between two that
    different units compute, the engine waits by itself.
    """
    memory = config.activation_words
    frame = int(rng.integers(1, memory // 4))
    receive = {"opcode": Opcode.RECEIVE, "base": 0, "pixels": frame - 1}
    before, during, after = rng.integers(0, 3, 3)
    unwritten = np.zeros(memory, bool)
    unwritten[frame:] = True        # The round before may have left results under way.
    instructions, unit = [receive], None
    kinds = [_send, *[_conv] * 3, *[_depthwise] * (2 if config.window_width else 0),
             *[_vector] * (2 if config.vector else 0)]
    for index in range(before + 1 + during + after):
        readable = np.ones(memory, bool)
        readable[:frame] = before <= index < before + 1 + during
        fields = kinds[rng.integers(len(kinds))](rng, config, readable, longest)
        layer = fields["opcode"] != Opcode.SEND
        taps = _reads(fields)
        if layer and unit not in (None, fields["opcode"]):
            unwritten[:] = False
        fields["wait"] = int(unwritten[taps].any() or rng.integers(4) == 0)
        fields["wait_input"] = int(index == before)
        if fields["wait"]:
            unwritten[:] = False
        if layer:
            unit = fields["opcode"]
            unwritten[_place_results(rng, config, fields, frame, taps)] = True
        instructions.append(fields)
        if index == before + during:
            instructions.append({**receive, "wait": 1, "next": 1})
    instructions.append({**send_all(config, frame), "wait": 1})
    address = int(rng.integers(0, config.program_words
                               - INSTRUCTION_WORDS * (len(instructions) + 1) + 1))
    instructions.append({"opcode": Opcode.END, "base": address + INSTRUCTION_WORDS})
    count = int(rng.integers(1, 4))

    def codes(words, size):
        return rng.integers(0, 256, (words, size)).astype(np.uint8)

    return Job(instructions=instructions, address=address, count=count,
               weights=codes(config.weight_words, config.columns),
               activations=codes(memory, config.channels),
               coefficients=_coefficients(rng, config.coefficient_words),
               frames=[codes(frame, config.channels) for _ in range(count)])


def echo_job(rng, config, *, words, count):
    """A :class:`Job` that sends each frame back from its last word to its first, or where no
    engine can step backwards from the first to the last, the next one taking its place."""
    receive = {"opcode": Opcode.RECEIVE, "pixels": words - 1}
    send = {"opcode": Opcode.SEND, "wait_input": 1,
            **({"x_step": 1} if config.lean else {"base": words - 1, "x_step": 0xFFFF}),
            "in_height": 1, "in_width": 1, "out_width": words - 1, "pixels": words - 1,
            "tiles": -(-words // config.rows) - 1}
    return Job(instructions=[receive, send, {**receive, "wait": 1, "next": 1},
                             {"opcode": Opcode.END, "base": INSTRUCTION_WORDS}],
               address=0, count=count, weights=np.zeros((1, config.columns), np.uint8),
               activations=np.zeros((config.activation_words, config.channels), np.uint8),
               coefficients=[{}], frames=[
                   rng.integers(0, 256, (words, config.channels)).astype(np.uint8)
                   for _ in range(count)])


def _reads(fields):
    """Addresses that an instruction reads."""
    found = []
    for block in range(fields.get("blocks", 0) + 1):
        addresses, inside = read_addresses(_filled(fields), block)
        found.append(addresses[inside])
    return np.concatenate(found)


def _filled(fields):
    return {**dict.fromkeys(("frames", "out_height", "out_width", "kernel_height", "kernel_width",
                             "tap_words", "base", "block_step", "frame_step", "y_step", "x_step",
                             "tap_y_step", "tap_x_step", "stride_y", "stride_x", "pad_top",
                             "pad_left", "dilation_y", "dilation_x"), 0), **fields}


def echoed(frame, config):
    """What :func:`echo_job` makes of a frame."""
    return frame if config.lean else frame[::-1]


def _walk(rng, config, readable, *, longest, taps, blocks=True, least=1):
    """Geometry with which all that is read is readable: with ``taps`` and ``blocks`` or one of
    each, and no fewer rows and columns than ``least``."""
    memory = config.activation_words
    while True:
        frames = 1 if config.lean else int(rng.integers(1, 4))
        height, width = (int(rng.integers(least, least + most)) for most in (5, 8))
        kernel = [int(rng.integers(1, 5)) for _ in range(2)] if taps else [1, 1]
        words = int(rng.integers(1, 4)) if taps else 1
        count = int(rng.integers(1, 4)) if blocks else 1
        pixels, steps = frames * height * width, kernel[0] * kernel[1] * words
        tiles = -(-pixels // config.rows)
        if tiles * steps * config.channels * count > longest:
            continue
        fields = {
            "base": int(rng.integers(memory)),
            **_steps(rng, config, x_step=(2, 5), y_step=(9, 20), frame_step=(30, 60)),
            "in_height": int(rng.integers(1, 12)), "in_width": int(rng.integers(1, 12)),
            "pad_top": int(rng.integers(0, 4)), "pad_left": int(rng.integers(0, 4)),
            "stride_y": int(rng.integers(0, 4)), "stride_x": int(rng.integers(0, 4)),
            "pad_code": int(rng.integers(256)), "out_height": height - 1, "out_width": width - 1,
            "frames": frames - 1, "pixels": pixels - 1, "tiles": tiles - 1,
        }
        if blocks:
            fields |= {
                **_steps(rng, config, block_step=(3, 4), tap_x_step=(2, 5), tap_y_step=(9, 20)),
                "dilation_y": int(rng.integers(0, 4)), "dilation_x": int(rng.integers(0, 4)),
                "kernel_height": kernel[0] - 1, "kernel_width": kernel[1] - 1,
                "tap_words": words - 1, "last_step": steps - 1, "blocks": count - 1,
            }
        reads = _reads(fields)
        if (reads < memory).all() and readable[reads].all():
            return fields


def _steps(rng, config, **limits):
    """Steps up to so far back and forth; a lean engine only steps forth, and over one frame."""
    steps = {name: int(rng.integers(0 if config.lean else -back, forth)) % (1 << 16)
             for name, (back, forth) in limits.items()}
    return {name: 0 if config.lean and name == "frame_step" else step
            for name, step in steps.items()}


def _conv(rng, config, readable, longest):
    while True:
        fields = _walk(rng, config, readable, longest=longest, taps=True)
        blocks = fields["blocks"] + 1
        weights = blocks * (fields["last_step"] + 1) * config.channels
        channels = blocks * config.columns
        if weights <= config.weight_words and channels <= config.coefficient_words:
            return fields | _results(rng, config, Opcode.CONV, channels) | {
                "weight_base": int(rng.integers(0, config.weight_words - weights + 1))}


def _results(rng, config, opcode, records):
    """What becomes of the sums, with so many coefficients."""
    low, high = sorted(rng.choice([-128, 0, 127, 255, *rng.integers(-128, 256, 2)], 2).tolist())
    return {
        "opcode": opcode, "unsigned": int(rng.integers(2)),
        "coefficient_base": int(rng.integers(0, config.coefficient_words - records + 1)),
        "zero": int(rng.integers(-128, 256)), "low": low, "high": high,
    }


def _depthwise(rng, config, readable, longest):
    """Windows over a few rows and columns; strides up to the largest there is."""
    while True:
        fields = _walk(rng, config, readable, longest=longest, taps=False, least=3)
        blocks, height, width = (fields[name] + 1 for name in ("blocks", "out_height", "out_width"))
        weights = blocks * -(-9 // config.columns) * config.channels
        channels = blocks * config.channels
        if (width <= config.window_width and weights <= config.weight_words
                and channels <= config.coefficient_words):
            break
    strides = [int(rng.choice([1, 1, 2, rng.integers(1, 16)])) for _ in range(2)]
    rows, columns = ((size - 3) // stride + 1
                     for size, stride in zip((height, width), strides, strict=True))
    return fields | _results(rng, config, Opcode.DEPTHWISE, channels) | {
        "weight_base": int(rng.integers(0, config.weight_words - weights + 1)),
        "window_stride_y": strides[0], "window_stride_x": strides[1],
        "out_pixels": (fields["frames"] + 1) * rows * columns - 1}


def _vector(rng, config, readable, longest):
    """Any geometry; with tables, if there can be any."""
    table = int(config.coefficient_words > 2 * 256 and rng.integers(2))
    while True:
        fields = _walk(rng, config, readable, longest=longest, taps=bool(rng.integers(4)))
        records = (fields["blocks"] + 1) * config.channels + 256 * table
        if records <= config.coefficient_words:
            return fields | _results(rng, config, Opcode.VECTOR, records) | {
                "table": table, "maximum": int(rng.integers(2))}


def _place_results(rng, config, fields, frame, reads):
    """Choose where the results go; return the addresses."""
    memory = config.activation_words
    parts = config.channels // config.lanes
    groups = (fields["blocks"] + 1) * (config.slots if fields["opcode"] == Opcode.CONV else parts)
    pixels = fields["out_pixels" if fields["opcode"] == Opcode.DEPTHWISE else "pixels"] + 1
    for attempt in range(1000):
        wanted = int(rng.integers(1, groups + 3))
        written = min(wanted, groups)
        words = -(-written // parts)
        step = int(rng.choice([words, words + 1, 1, 0, -words])) if attempt < 900 else 0
        step = max(0, step) if config.lean else step
        base = int(rng.integers(frame, memory))
        addresses = base + np.arange(pixels)[:, None] * step + np.arange(words)
        if addresses.min() >= frame and addresses.max() < memory and not np.isin(
                addresses, reads).any():
            fields |= {"out_base": base, "out_step": step % (1 << 16), "out_groups": wanted - 1}
            return addresses
    raise AssertionError("there is no room for the results")


def _send(rng, config, readable, longest):
    return {**_walk(rng, config, readable, longest=longest, taps=False, blocks=False),
            "opcode": Opcode.SEND}


def send_all(config, first):
    """A SEND of all activation memory from a word on."""
    words = config.activation_words - first
    return {"opcode": Opcode.SEND, "base": first, "x_step": 1, "in_height": 1, "in_width": 1,
            "out_width": words - 1, "pixels": words - 1, "tiles": -(-words // config.rows) - 1}


def _coefficients(rng, count):
    shift = rng.integers(24, 46, count)
    records = []
    for each in shift.tolist():
        modes = list(Rounding) if each >= 31 else [Rounding.HALF_UP, Rounding.HALF_EVEN]
        # Sums of some dozens of products, spread over the codes.
        scale = 2.0**each * rng.uniform(-1, 1) / 2**rng.integers(8, 12)
        records.append({
            "bias": int(rng.integers(-2**14, 2**14)), "shift": each,
            "multiplier": int(np.clip(scale, -2**31 + 1, 2**31 - 1)),
            "rounding": int(rng.choice(modes))})
    assert pack_records(StoredCoefficients(), records[:1])
    return records
