"""LMTP (RFC 2033) with aiosmtpd: a reply for every recipient, also when something goes wrong."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Protocol, cast

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Envelope, Session

log = logging.getLogger(__name__)

# It tells every command, with addresses, as news, and what it does not understand, of any length, as warnings.
logging.getLogger("mail.log").setLevel(logging.ERROR)

MOST_RECIPIENTS = 100
UNPRINTABLE = re.compile(r"[^\x20-\x7e\r\n]|\r(?!\n)|(?<!\r)\n")
# What nearly every MAIL and RCPT has: an address of plain words, and parameters.
ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
USUAL_ADDRESS = re.compile(rf"<({ATOM}(?:\.{ATOM})*@{ATOM}(?:\.{ATOM})*)>(?: ([A-Za-z][!-~]*))?", re.ASCII)
TEMPORARY = "451 4.3.0 Temporary failure, try again later"


class Intake(Protocol):
    """What takes the mails."""

    def knows(self, recipient: str) -> bool:
        """Whether mail to this address is for the bot."""
        ...

    async def take(self, sender: str, recipients: Sequence[str], content: bytes) -> Sequence[str]:
        """Take a mail durably; a status line for each recipient, in their order."""
        ...


class Handler:
    """The hooks that aiosmtpd calls."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def handle_EHLO(  # noqa: N802 - named by aiosmtpd
        self, server: LMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Say what RFC 2033 demands."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_MAIL(  # noqa: N802
        self, server: LMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Any sender may be one."""
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: LMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Only the bot's own addresses."""
        if not self._intake.knows(address):
            return "550 5.1.1 Unknown user"
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: LMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """The replies, one for each recipient."""
        content = envelope.content
        assert isinstance(content, bytes)
        # aiosmtpd leaves the brackets of the empty sender.
        sender = "" if envelope.mail_from in (None, "<>") else envelope.mail_from
        return "\r\n".join(await self._intake.take(sender, envelope.rcpt_tos, content))

    async def handle_exception(self, error: Exception) -> str:
        """A fault of our own: the mail server keeps the mail and tries again."""
        log.error("an LMTP session failed", exc_info=error)
        return TEMPORARY


class Connection(LMTP):
    """One LMTP connection."""

    # aiosmtpd reads in pieces of this size; a line of any length is taken.
    line_length_limit = 64 << 10

    def __init__(self, intake: Intake, connections: set[Connection], most: int, **options: Any) -> None:
        super().__init__(Handler(intake), **options)
        self._connections = connections
        self._most = most
        self._answers_data = False
        # aiosmtpd's is one for all connections, and what one of them says changes it.
        self.command_size_limits = defaultdict(lambda: self.command_size_limit)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """One more; beyond the limit it is told to come back later."""
        out = cast("asyncio.WriteTransport", transport)
        if len(self._connections) >= self._most:
            out.write(b"421 4.3.2 Too many connections, try again later\r\n")
            out.close()
            return
        self._connections.add(self)
        super().connection_made(transport)
        assert self._handler_coroutine is not None
        # aiosmtpd closes it only if the session has begun when the client is gone again.
        self._handler_coroutine.add_done_callback(lambda _: out.close())

    def connection_lost(self, error: Exception | None) -> None:
        """One fewer."""
        if self in self._connections:
            self._connections.discard(self)
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """The client has said all it wanted to."""
        return super().eof_received() if self in self._connections else None

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """(address, parameters) of a command; (None, None) for what is no address."""
        # Its own way takes a tenth of the time that a mail takes.
        usual = USUAL_ADDRESS.fullmatch(arg) if arg and not self.local_part_limit else None
        if usual is not None:
            return usual[1], usual[2] or ""
        try:
            found: tuple[str | None, str | None] = super()._getaddr(arg)
        except (IndexError, AttributeError):
            # The standard library's parser looks behind the end of "<" and the like, and stumbles over "a@[" as well.
            return None, None
        return found

    async def push(self, status: str | bytes) -> None:
        """Send a reply; after DATA there is one for each recipient."""
        text = status if isinstance(status, str) else status.decode("ascii", "replace")
        if self._answers_data and not text.startswith("354"):
            self._answers_data = False
            count = len(self.envelope.rcpt_tos) if self.envelope is not None else 1
            if "\r\n" not in text and count > 1:
                text = "\r\n".join([text] * count)
        # aiosmtpd repeats what it does not understand.
        await super().push(UNPRINTABLE.sub("?", text))

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - named by aiosmtpd
        """Read a mail in large pieces; aiosmtpd's own keeps an object for every line."""
        if await self.check_helo_needed():
            return
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        self._answers_data = True
        content = await self._content()
        if content is None:
            status = "552 5.3.4 Error: Too much mail data"
        else:
            self.envelope.content = self.envelope.original_content = content
            try:
                status = await self._call_handler_hook("DATA")
            except Exception:  # the edge: whatever it is, the mail server keeps the mail and the connection goes on
                log.exception("a mail could not be taken")
                status = TEMPORARY
        try:
            await self.push(status)
        finally:
            self._answers_data = False
            self._set_post_data_state()  # type: ignore[no-untyped-call]

    async def _content(self) -> bytes | None:
        """What comes until the line with the dot, without the dots that were doubled; None if it is too much."""
        read = bytearray()
        too_much = False
        while True:
            try:
                # Often enough in a text, and then the loop goes on; CR LF . CR LF itself may begin before DATA ended.
                read += await self._reader.readuntil(b".\r\n")
            except asyncio.LimitOverrunError as exc:
                read += await self._reader.read(exc.consumed)
                if not too_much:
                    too_much = self._is_too_much(read)
                if too_much:
                    del read[:-4]
                continue
            if read == b".\r\n" or read.endswith(b"\r\n.\r\n"):
                break
            too_much = too_much or self._is_too_much(read)
            if too_much:
                del read[:-4]
        if too_much or self._is_too_much(read):
            return None
        del read[-3:]
        content = bytes(read[1:] if read.startswith(b".") else read)
        return content.replace(b"\r\n.", b"\r\n")

    def _is_too_much(self, read: bytearray) -> bool:
        return self.data_size_limit is not None and len(read) > self.data_size_limit + 5
