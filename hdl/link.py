"""The board's end of the host link: executes requests, one at a time, and each of them once."""

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .frames import FrameReceiver, FrameSender
from .linkformat import (
    MAX_WORDS,
    PATIENCE,
    VERSION,
    Operation,
    ReplyHeader,
    ReplyStatus,
    RequestHeader,
)
from .ports import Beat
from .registerbank import RegisterBus
from .uart import ReceivedByte

__all__ = ["LinkEndpoint"]


_DEPTH = MAX_WORDS + 1
_DAMAGED = ReplyHeader().const({"status": ReplyStatus.DAMAGED}).as_bits()


class LinkEndpoint(wiring.Component):
    """Executes the requests of :mod:`hdl.linkformat` on an engine, and replies.

    The last reply is kept. A request with the number of the one before is a repetition, because
    the reply was lost on its way: it is answered by the same reply and not executed. What comes
    while a request is executed or answered is dropped; a host asks again.

    Members
    -------
    i : ``In(stream.Signature(ReceivedByte(), always_ready=True))``
        Bytes from the host, at least :data:`hdl.frames.BYTE_CYCLES` cycles apart.
    o : ``Out(stream.Signature(8))``
        Bytes to the host.
    registers : ``Out(RegisterBus())``
    packets : ``Out(stream.Signature(Beat()))``
        The engine's input stream. A beat that is not taken for long is withdrawn, and offered again
        when the host asks for that again.
    results : ``In(stream.Signature(Beat()))``
        Its output stream.
    """

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(ReceivedByte(), always_ready=True)),
            "o": Out(stream.Signature(8)),
            "registers": Out(RegisterBus()),
            "packets": Out(stream.Signature(Beat())),
            "results": In(stream.Signature(Beat())),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = self._receiver = FrameReceiver()
        m.submodules.sender = self._sender = FrameSender()
        wiring.connect(m, wiring.flipped(self.i), self._receiver.i)
        wiring.connect(m, self._sender.o, wiring.flipped(self.o))
        # The request's body in the lower half, the reply's in the upper one. Headers of replies
        # are behind the bodies: below, what is said of a damaged frame, and above, the others'.
        m.submodules.bodies = bodies = memory.Memory(
            shape=32, depth=2 * _DEPTH, init=[*[0] * MAX_WORDS, _DAMAGED],
            attrs={"ram_style": "block", "no_rw_check": 1})
        self._write, self._read = bodies.write_port(), bodies.read_port()

        self._request, self._reply = Signal(RequestHeader()), Signal(ReplyHeader())
        self._opened = Signal()
        self._damaged = Signal()        # The reply says so; the one that is kept stays.
        self._pointer = Signal(range(_DEPTH))
        self._argument = Signal(12)     # Of the body's first word, what matters.
        self._waited = Signal(range(PATIENCE + 1))
        m.d.comb += self._read.en.eq(1)
        m.d.comb += [
            self.registers.address.eq(self._argument[2:]), self.registers.strobe.eq(~0),
            self.registers.data.eq(self._read.data),
        ]
        with m.FSM() as fsm:
            m.d.comb += self._receiver.clear.eq(~fsm.ongoing("LISTEN"))
            with m.State("LISTEN"):
                self._listen(m)
            with m.State("EXECUTE"):
                self._execute(m)
            with m.State("ACCESS"):
                self._access(m)
            with m.State("WAIT"):
                m.d.comb += self._read.addr.eq(1)
                m.next = "ACCESSED"
            with m.State("ACCESSED"):
                self._accessed(m)
            with m.State("SEND"):
                m.d.comb += self._read.addr.eq(self._pointer)
                m.next = "SEND WORD"
            with m.State("SEND WORD"):
                self._send_word(m)
            with m.State("RECEIVE"):
                self._receive(m)
            with m.State("REPLY"):
                self._answer(m)
            with m.State("REPLY READ"):
                m.d.comb += self._read.addr.eq(Cat(self._pointer, ~self._damaged))
                m.next = "REPLY WORD"
            with m.State("REPLY WORD"):
                self._answer_word(m)
        return m

    def _listen(self, m):
        """Keep the words of a frame; at its end decide what it is."""
        receiver = self._receiver
        body = receiver.index - 1
        m.d.comb += [
            self._write.addr.eq(body[:(_DEPTH - 1).bit_length()]),
            self._write.data.eq(receiver.word),
            self._write.en.eq(receiver.word_valid & (receiver.index != 0)
                              & (receiver.index <= MAX_WORDS)),
            self._read.addr.eq(1),
        ]
        m.d.sync += [self._pointer.eq(0), self._waited.eq(0)]
        with m.If(receiver.word_valid & (receiver.index == 1)):
            m.d.sync += self._argument.eq(receiver.word)
        header = RequestHeader()(receiver.word)
        repeated = Signal()
        with m.If(receiver.word_valid & (receiver.index == 0)):
            m.d.sync += self._request.eq(header)
        m.d.comb += repeated.eq(self._opened & (self._request.operation != Operation.OPEN)
                                & (self._request.sequence == self._reply.sequence))
        with m.If(receiver.end):
            good = receiver.good & (receiver.index >= 2)
            m.d.sync += self._damaged.eq(~good)
            m.next = "REPLY"
            with m.If(good & ~repeated):
                m.d.sync += [self._reply.sequence.eq(self._request.sequence),
                             self._reply.count.eq(0), self._reply.info.eq(0)]
                m.next = "EXECUTE"
                with m.If(self._request.count != receiver.index - 2):
                    m.d.sync += self._reply.status.eq(ReplyStatus.LENGTH)
                    m.next = "REPLY"

    def _execute(self, m):
        """Check what the request needs."""
        count, operation = self._request.count, self._request.operation
        m.d.comb += self._read.addr.eq(1)
        fits = Signal()
        m.next = "REPLY"
        with m.Switch(operation):
            with m.Case(Operation.OPEN):
                m.d.comb += fits.eq(count == 0)
                with m.If(fits):
                    m.d.sync += [self._opened.eq(1), self._reply.info.eq(VERSION)]
            for reading, words in ((Operation.READ, 1), (Operation.WRITE, 2)):
                with m.Case(reading):
                    m.d.comb += fits.eq(count == words)
                    with m.If(fits & self._opened):
                        m.next = "ACCESS"
            with m.Case(Operation.SEND, Operation.SEND_LAST):
                m.d.comb += fits.eq(count != 0)
                with m.If(fits & self._opened):
                    m.next = "SEND"
            with m.Case(Operation.RECEIVE):
                m.d.comb += fits.eq((count == 1) & (self._argument != 0)
                                    & (self._argument <= MAX_WORDS))
                with m.If(fits & self._opened):
                    m.next = "RECEIVE"
        m.d.sync += self._reply.status.eq(Mux(fits, ReplyStatus.OK, ReplyStatus.LENGTH))
        with m.If(operation > Operation.RECEIVE):
            m.d.sync += self._reply.status.eq(ReplyStatus.OPERATION)
        with m.Elif(~self._opened & (operation != Operation.OPEN)):
            m.d.sync += self._reply.status.eq(ReplyStatus.CLOSED)

    def _access(self, m):
        """Begin the access. The body's second word has been read, and stays until it is over."""
        writing = self._request.operation == Operation.WRITE
        m.d.comb += [
            self.registers.read.eq(~writing), self.registers.write.eq(writing),
            self._read.addr.eq(1),
        ]
        m.next = "WAIT"

    def _accessed(self, m):
        """:attr:`hdl.registerbank.RegisterBus.LATENCY` cycles later: take what comes of it."""
        registers = self.registers
        m.d.comb += [
            self._write.addr.eq(_DEPTH), self._write.data.eq(registers.value),
            self._write.en.eq(1),
        ]
        with m.If(registers.error):
            m.d.sync += self._reply.status.eq(ReplyStatus.BUS)
        with m.Else():
            m.d.sync += self._reply.count.eq(self._request.operation == Operation.READ)
        m.next = "REPLY"

    def _send_word(self, m):
        """Give the word that was read to the stream; read the next one, or give up."""
        last = self._pointer + 1 == self._request.count
        m.d.comb += [
            self._read.addr.eq(self._pointer),
            self.packets.valid.eq(1), self.packets.p.data.eq(self._read.data),
            self.packets.p.last.eq(last & (self._request.operation == Operation.SEND_LAST)),
        ]
        m.d.sync += self._waited.eq(self._waited + 1)
        with m.If(self.packets.ready):
            m.d.sync += [
                self._pointer.eq(self._pointer + 1), self._waited.eq(0),
                self._reply.info.eq(self._pointer + 1),
            ]
            m.next = "SEND"
            with m.If(last):
                m.next = "REPLY"
        with m.Elif(self._waited == PATIENCE):
            m.next = "REPLY"

    def _receive(self, m):
        m.d.comb += [
            self.results.ready.eq(1),
            self._write.addr.eq(_DEPTH | self._pointer),
            self._write.data.eq(self.results.p.data), self._write.en.eq(self.results.valid),
        ]
        m.d.sync += self._waited.eq(self._waited + 1)
        with m.If(self.results.valid):
            m.d.sync += [self._pointer.eq(self._pointer + 1), self._waited.eq(0),
                         self._reply.count.eq(self._pointer + 1),
                         self._reply.info.eq(self.results.p.last)]
            with m.If(self.results.p.last | (self._pointer + 1 == self._argument)):
                m.next = "REPLY"
        with m.Elif(self._waited == PATIENCE):
            m.next = "REPLY"

    def _answer(self, m):
        """Keep the header."""
        m.d.comb += [
            self._write.addr.eq(_DEPTH | MAX_WORDS), self._write.data.eq(self._reply),
            self._write.en.eq(~self._damaged),
        ]
        # The header is the word before the first one.
        m.d.sync += self._pointer.eq(MAX_WORDS)
        m.next = "REPLY READ"

    def _answer_word(self, m):
        word = self._sender.i
        last = self._damaged | ((self._pointer + 1)[:len(self._pointer)] == self._reply.count)
        m.d.comb += [
            word.p.data.eq(self._read.data), word.p.last.eq(last), word.valid.eq(1),
            self._read.addr.eq(Cat(self._pointer, ~self._damaged)),
        ]
        with m.If(word.ready):
            m.d.sync += self._pointer.eq(self._pointer + 1)
            m.next = "REPLY READ"
            with m.If(last):
                m.next = "LISTEN"
