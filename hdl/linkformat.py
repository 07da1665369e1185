"""The host link's format: one definition for gateware, host and documentation.

Requests go to the board, and each is answered by one reply. Either is a frame: FLAG, the bytes of
some 32-bit words, lowest first, and FLAG. A byte that is FLAG or ESCAPE becomes ESCAPE and that
byte exclusive-or ESCAPED. The words are a header, the body that it announces, and the CRC-32 of all
bytes before (that of Ethernet and zlib), taken before any is escaped.
"""

from amaranth.lib import data

from .isa import Meaning

__all__ = ["ESCAPE", "ESCAPED", "FLAG", "MAX_WORDS", "PATIENCE", "REPLY_FIELDS",
           "REQUEST_FIELDS", "VERSION", "Operation", "ReplyHeader", "ReplyStatus", "RequestHeader"]


#: Version of the link, which a host has to know.
VERSION = 1
#: Begins and ends a frame.
FLAG = 0x7E
#: Stands before a byte that is FLAG or ESCAPE.
ESCAPE = 0x7D
#: What such a byte is exclusive-ored with.
ESCAPED = 0x20
#: Most words in a body.
MAX_WORDS = 127
#: The board's clock cycles that it waits for a stream of the engine before it gives up.
PATIENCE = 255


class Operation(Meaning):
    """What a request asks for."""

    OPEN = 0, ("Begin a session. Always executed; the other requests are only after it. No body. "
               "The reply's `info` is the version of the link.")
    READ = 1, "Read the register at the byte offset in the body. The reply's body is its value."
    WRITE = 2, "Write a register: the body is the byte offset and the value."
    SEND = 3, ("Give the body's words to the engine's input stream, as many as it takes "
               f"without pausing for more than {PATIENCE} cycles; the reply's `info` is how "
               "many. The others have to be sent again.")
    SEND_LAST = 4, "The same; with the body's last word goes TLAST, the end of a packet."
    RECEIVE = 5, ("Take words of the output stream: those that come without a pause of more "
                  f"than {PATIENCE} cycles, at most the number in the body, and none behind the "
                  "end of a packet. They are the reply's body; its `info` is 1 if a packet "
                  "has ended.")


class ReplyStatus(Meaning):
    """What became of a request."""

    OK = 0, "Executed."
    DAMAGED = 1, ("A frame came with a wrong CRC, a wrong number of bytes, or a byte without stop "
                  "bit. Nothing was executed. `sequence` means nothing.")
    LENGTH = 2, "The body does not have the length that the header says or the operation has."
    OPERATION = 3, "There is no such operation."
    CLOSED = 4, "No session has begun since the board was configured or reset."
    BUS = 5, "No such register, or it cannot be written."


#: Fields of a request's header: name, bits, meaning; lowest bits first.
REQUEST_FIELDS = (
    ("sequence", 8, "Number of the request: another one than that of the request before."),
    ("operation", 8, "What is asked for."),
    ("count", 8, f"Words in the body, at most {MAX_WORDS}."),
    ("zero", 8, "0."),
)
#: Likewise of a reply's.
REPLY_FIELDS = (
    ("sequence", 8, "Number of the request."),
    ("status", 8, "What became of it."),
    ("count", 8, f"Words in the body, at most {MAX_WORDS}."),
    ("info", 8, "What the operation says of it, or 0."),
)


class RequestHeader(data.StructLayout):
    """First word of a request."""

    def __init__(self):
        super().__init__({name: width for name, width, _ in REQUEST_FIELDS})


class ReplyHeader(data.StructLayout):
    """First word of a reply."""

    def __init__(self):
        super().__init__({name: width for name, width, _ in REPLY_FIELDS})
