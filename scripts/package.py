"""The folder of a compiled model: all that a host needs to run it on the engine.

``manifest.json`` describes the other files, each of which is the content of a packet of the
engine's input stream (docs/instructions.md): memory words in order, each in as many 32-bit words as
it needs, lowest bits first. docs/models.md explains the manifest.
"""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from compiler.model import Model, Port
from hdl.isa import Destination
from hdl.layouts import pack_records
from hdl.operands import StoredCoefficients
from scripts.hoststeps import described, restored

__all__ = ["FORMAT", "Package", "description", "images"]


#: Version of the manifest; another one means that hosts must be changed.
FORMAT = 1


def images(program):
    """Return what fills the engine's memories with ``program``, as bytes by file name."""
    layout = StoredCoefficients()
    record = -(-layout.size // 8)
    return {
        "program.bin": np.array(program.words(), "<u4").tobytes(),
        "weights.bin": _beats(program.weights),
        "coefficients.bin": _beats(np.frombuffer(
            pack_records(layout, program.coefficients), np.uint8).reshape(-1, record)),
    }


def description(model, program):
    """Return what the manifest says of a model and its program, beside the engine's part."""
    counts = {"program.bin": (Destination.PROGRAM, len(program.words())),
              "weights.bin": (Destination.WEIGHTS, len(program.weights)),
              "coefficients.bin": (Destination.COEFFICIENTS, len(program.coefficients))}
    packets = [{"destination": destination.name, "file": name, "address": 0, "words": words,
                "header": [int(destination), words]}
               for name, (destination, words) in counts.items()]
    return {
        "format": FORMAT,
        "model": model.file,
        "packets": packets,
        "start": {"header": [int(Destination.START), None], "address": 0,
                  "meaning": "the number of batches takes the place of null"},
        "batch": program.batch,
        "input": {**_port(model.input), **_frame(program),
                  "codes": _codes(program.network.input_unsigned),
                  "feature_map": list(model.network.input_shape)},
        "output": {**_port(model.output), **_result(program),
                   "codes": np.dtype(_output_layer(program).output_type).name,
                   "host": [described(step) for step in model.host]},
    }


def _beats(words):
    """Memory words, uint8 (words, bytes), as bytes of 32-bit words."""
    size = -(-words.shape[1] // 4) * 4
    return np.pad(words, ((0, 0), (0, size - words.shape[1]))).tobytes()


def _codes(unsigned):
    return "uint8" if unsigned else "int8"


def _port(port):
    return {"name": port.name, "dtype": np.dtype(port.dtype).name, "shape": list(port.shape),
            "channels_last": port.channels_last, "scale": float(port.scale),
            "zero_point": int(port.zero_point), "rounding": port.rounding}


def _frame(program):
    """How the codes of a batch lie in the words that go in."""
    region = program.regions[program.network.input]
    words = program.input_words
    return {"fold": _fold(program.fold), "folded": list(region.shape),
            "word_codes": program.config.channels, "pixel_words": region.words, "words": words,
            "header": [int(Destination.FRAME), words]}


def _fold(fold):
    if fold is None:
        return None
    before, layer = fold.layer.padding[:2], fold.layer
    axes = [{"window": 1, "stride": 1, "dilation": 1, "before": 0} if axis.window == 1 else
            {"window": axis.window, "stride": stride, "dilation": dilation, "before": pad}
            for axis, stride, dilation, pad in zip(
                (fold.rows, fold.columns), layer.stride, layer.dilation, before, strict=True)]
    return {"rows": axes[0], "columns": axes[1], "pad_code": layer.input_zero_point}


def _result(program):
    """How the codes of a batch lie in the words that come out."""
    region = program.regions[program.network.output]
    return {"feature_map": list(region.shape), "word_codes": program.config.channels,
            "pixel_words": region.words, "words": program.output_words,
            "places": region.layout.places.tolist()}


def _output_layer(program):
    network = program.network
    return next(node.layer for node in network.nodes if node.output == network.output)


class Package:
    """A compiled model, from its folder.

    Parameters
    ----------
    folder : path

    Members
    -------
    manifest : dict

    Raises
    ------
    ValueError
        If a file is missing, is not the one that was written, or the format is another one.
    """

    def __init__(self, folder):
        folder = Path(folder)
        try:
            self.manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            if self.manifest.get("format") != FORMAT:
                raise ValueError(f"{folder}: its manifest is not of format {FORMAT}; "
                                 "compile the model again")
            self.files = {name: (folder / name).read_bytes() for name in self.manifest["files"]}
        except OSError as error:
            raise ValueError(f"{error.filename}: {error.strerror}") from None
        for name, expected in self.manifest["files"].items():
            if hashlib.sha256(self.files[name]).hexdigest() != expected["sha256"]:
                raise ValueError(f"{folder / name}: its SHA-256 is not the one in the manifest; "
                                 "compile the model again")
        source, result = self.manifest["input"], self.manifest["output"]
        # Of the network, what goes in is all that frames and results depend on.
        network: Any = SimpleNamespace(input_shape=tuple(source["feature_map"]),
                                       input_unsigned=source["codes"] == "uint8")
        self._model = Model(
            file=self.manifest["model"], input=_restored_port(source),
            output=_restored_port(result), host=tuple(map(restored, result["host"])),
            network=network)

    def load_packets(self):
        """Packets, uint32 arrays, that fill the engine's memories; each ends with TLAST."""
        return [_packet(packet["header"], self.files[packet["file"]])
                for packet in self.manifest["packets"]]

    def start_packet(self, batches):
        """The packet, a uint32 array, that starts the program for so many batches."""
        return np.array([self.manifest["start"]["header"][0], batches], "<u4")

    def frame_packets(self, x):
        """Packets, a uint32 array for each batch, of the frames ``x`` in the model's layout."""
        codes, batch = self._model.encode(x), self.manifest["batch"]
        return [self._frame_packet(codes[start:start + batch])
                for start in range(0, len(codes), batch)]

    def results(self, words, count):
        """Results, in the model's layout, from what came out for ``count`` frames.

        Parameters
        ----------
        words : uint32 array
            All that the output stream gave, in order.
        count : int
        """
        output, batch = self.manifest["output"], self.manifest["batch"]
        channels, height, width = output["feature_map"]
        size = -(-output["word_codes"] // 4) * 4
        codes = np.asarray(words, "<u4").view(np.uint8).reshape(-1, size)[:, :output["word_codes"]]
        pixels = codes.reshape(-1, batch, height, width, output["pixel_words"] *
                               output["word_codes"])[..., output["places"]]
        codes = pixels.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)[:count]
        return self._model.decode(np.ascontiguousarray(codes).view(output["codes"]))

    def _frame_packet(self, codes):
        source = self.manifest["input"]
        folded = _folded(codes.view(np.uint8), source)
        channels, height, width = source["folded"]
        words = np.zeros((self.manifest["batch"], height, width,
                          source["pixel_words"] * source["word_codes"]), np.uint8)
        words[:len(codes), :, :, :channels] = folded.transpose(0, 2, 3, 1)
        return _packet(source["header"], _beats(words.reshape(-1, source["word_codes"])))


def _packet(header, content):
    return np.concatenate([np.array(header, "<u4"), np.frombuffer(content, "<u4")])


def _restored_port(values):
    chosen = {field.name: values[field.name] for field in fields(Port)}
    return Port(**chosen | {"shape": tuple(chosen["shape"]),
                            "dtype": np.dtype(chosen["dtype"]).type})


def _folded(codes, source):
    """Frames (N, C, H, W) as the engine takes them: codes of several pixels may have become
    channels of one, in the order (C, row, column)."""
    fold = source["fold"]
    if fold is None:
        return codes
    index, inside = [], []
    for side, size, old in zip(("rows", "columns"), source["folded"][1:], codes.shape[2:],
                               strict=True):
        axis = fold[side]
        position = (np.arange(size)[:, None] * axis["stride"]
                    + np.arange(axis["window"]) * axis["dilation"] - axis["before"])
        index.append(position.clip(0, old - 1))
        inside.append((position >= 0) & (position < old))
    rows, columns = index
    taken = codes[:, :, rows[:, :, None, None], columns]
    taken = np.where(inside[0][:, :, None, None] & inside[1], taken, fold["pad_code"] % 256)
    return taken.transpose(0, 1, 3, 5, 2, 4).reshape(len(codes), *source["folded"])
