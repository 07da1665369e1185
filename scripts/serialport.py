"""Serial ports of this machine."""

import os
from contextlib import contextmanager

import serial

__all__ = ["PortError", "SerialPort", "opened"]


#: Seconds that a read waits for its first byte.
_WAIT = 0.01


class PortError(RuntimeError):
    """A port cannot be opened, or is gone."""


class SerialPort:
    """An open port, 8 bits, no parity, one stop bit, no handshake.

    Members raise :class:`PortError` if the port is gone.
    """

    def __init__(self, name, baud):
        with _explained(name):
            # Also takes pyserial's addresses, such as socket://HOST:PORT.
            self._serial = serial.serial_for_url(name, baud, timeout=_WAIT)
            self._serial.reset_input_buffer()
        self.name = name

    def read(self):
        """Return the bytes that have come; if none have, those of the next moment, if any."""
        with _explained(self.name):
            return self._serial.read(max(1, self._serial.in_waiting))

    def write(self, data):
        """Send bytes."""
        with _explained(self.name):
            self._serial.write(data)

    def close(self):
        """Give the port back."""
        self._serial.close()


@contextmanager
def opened(name, baud):
    """Yield the :class:`SerialPort` of that name, and close it behind the block.

    Raises
    ------
    PortError
        If there is none, or it cannot be used.
    """
    port = SerialPort(name, baud)
    try:
        yield port
    finally:
        port.close()


@contextmanager
def _explained(name):
    try:
        yield
    except (OSError, ValueError) as error:
        # pyserial's own text holds the same twice, and the name; its errors are of OSError.
        code = getattr(error, "errno", None)
        reason = os.strerror(code) if code else str(error)
        if reason.startswith("Could not configure port"):
            reason = "not a serial port"
        raise PortError(f"{name}: {reason}") from None
