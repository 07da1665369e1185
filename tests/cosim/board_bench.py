"""cocotb bench of :class:`hdl.boardtop.BoardTop`: puts a pseudo-terminal at its serial line,
with faults in between; run by ``simulated_board.py``."""

import json
import os
import random
import time
import tty
from collections import Counter
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, Timer

#: Nanoseconds.
PERIOD = 10
#: Cycles between two looks at what the host has sent.
STRIDE = 200
#: Seconds after which nobody is taken to need the board any more.
LIMIT = 300


class Faults:
    """Loses, repeats and changes bytes."""

    def __init__(self, seed, rate):
        self.chance = random.Random(seed)
        self.rate = rate
        self.counts = Counter()

    def __call__(self, data):
        """What becomes of bytes."""
        made = bytearray()
        for byte in data:
            fate = self.chance.random() / self.rate if self.rate else 3
            kind = ["lost", "repeated", "changed", "passed"][min(3, int(fate))]
            self.counts[kind] += 1
            made += {"lost": b"", "repeated": bytes([byte, byte]), "passed": bytes([byte]),
                     "changed": bytes([byte ^ self.chance.randrange(1, 256)])}[kind]
        return bytes(made)


async def to_board(dut, terminal, faults, bit):
    """What the host writes goes to ``rx``."""
    while True:
        try:
            data = faults(os.read(terminal, 4096))
        except BlockingIOError:
            await ClockCycles(dut.oscillator, STRIDE)
            continue
        for byte in data:
            for level in [0, *(byte >> index & 1 for index in range(8)), 1]:
                dut.rx.value = level
                await Timer(bit, unit="ns")


async def to_host(dut, terminal, faults, bit):
    """What ``tx`` says goes to the host."""
    while True:
        await FallingEdge(dut.tx)
        await Timer(bit + bit // 2, unit="ns")
        byte = 0
        for index in range(8):
            byte |= int(dut.tx.value) << index
            await Timer(bit, unit="ns")
        assert dut.tx.value == 1
        os.write(terminal, faults(bytes([byte])))


@cocotb.test()
async def serves_a_host(dut):
    """Until there is a file ``stop``."""
    job = json.loads(os.environ["CELOSIA_LINE"])
    faults = Faults(job["seed"], job["rate"])
    bit = job["divisor"] * PERIOD
    Clock(dut.oscillator, PERIOD, unit="ns").start()
    dut.rx.value = 1

    terminal, other_end = os.openpty()
    tty.setraw(other_end)
    os.set_blocking(terminal, False)
    for way in (to_board, to_host):
        cocotb.start_soon(way(dut, terminal, faults, bit))
    Path("port.part").write_text(os.ttyname(other_end), encoding="utf-8")
    os.replace("port.part", "port")
    begun = time.monotonic()
    while not Path("stop").exists():
        await ClockCycles(dut.oscillator, 10 * STRIDE)
        assert time.monotonic() - begun < LIMIT
    Path("line.json").write_text(json.dumps(faults.counts), encoding="utf-8")
