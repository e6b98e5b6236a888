"""A submission server that keeps what it gets, and a client that speaks LMTP by hand."""

import asyncio
import email
import email.policy
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, AuthResult

# An answer that never arrives: the connection ends before the mail comes.
BROKEN = "421 4.3.2 That is all"


class FakeSmtp:
    """`mails` are parsed, `envelopes` are (sender, recipients), `answers` are given instead of 250, one a mail."""

    def __init__(self):
        self.mails = []
        self.raw = []
        self.envelopes = []
        self.commands = []
        self.answers = []
        self.logins = []
        self._arrived = asyncio.Condition()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - named by aiosmtpd
        self.commands.append("RCPT")
        if self.answers and self.answers[0] == BROKEN:
            self.answers.pop(0)
            server.transport.abort()
            return BROKEN
        if self.answers and self.answers[0].startswith("RCPT "):
            return self.answers.pop(0).removeprefix("RCPT ")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - named by aiosmtpd
        async with self._arrived:
            self.raw.append(envelope.content)
            self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
            self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
            self._arrived.notify_all()
        return self.answers.pop(0) if self.answers else "250 OK"

    def authenticate(self, server, session, envelope, mechanism, auth_data):
        self.logins.append((auth_data.login, auth_data.password))
        return AuthResult(success=auth_data.password == b"right", handled=False)

    async def wait(self, count, seconds=10):
        """The mails, once there are `count` of them."""
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: len(self.mails) >= count)
        return self.mails


@asynccontextmanager
async def fake_smtp(tls=None, *, implicit=False, auth=False, utf8=True):
    """`async with fake_smtp() as smtp`; `smtp.port` is its port."""
    fake = FakeSmtp()
    loop = asyncio.get_running_loop()

    def connected():
        options = {"authenticator": fake.authenticate, "auth_required": auth, "auth_require_tls": True} if auth else {}
        if implicit:
            options |= {"auth_require_tls": False} if auth else {}
        return SMTP(
            fake, hostname="mx.test", enable_SMTPUTF8=utf8, tls_context=None if implicit else tls, loop=loop, **options
        )

    server = await loop.create_server(connected, "127.0.0.1", 0, ssl=tls if implicit else None)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        await server.wait_closed()


class Lmtp:
    """One connection; `say` sends lines and reads one reply, `reply` reads one more."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def reply(self):
        lines = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 10)).decode().rstrip("\r\n")
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, line):
        self.writer.write(line.encode() + b"\r\n")
        return await self.reply()

    async def mail(self, raw, sender="anna@y.test", to=("bot@x.test",)):
        """Deliver a mail; the final replies, one for each recipient that was accepted."""
        if isinstance(raw, str):
            raw = raw.encode()
        raw = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        assert (await self.say(f"MAIL FROM:<{sender}>")).startswith("250")
        accepted = 0
        for address in to:
            accepted += (await self.say(f"RCPT TO:<{address}>")).startswith("250")
        answer = await self.say("DATA")
        if not answer.startswith("354"):
            await self.say("RSET")
            return [answer]
        stuffed = raw.replace(b"\r\n.", b"\r\n..")
        self.writer.write((b"." if stuffed.startswith(b".") else b"") + stuffed + b"\r\n.\r\n")
        return [await self.reply() for _ in range(accepted)]


@asynccontextmanager
async def lmtp(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = Lmtp(reader, writer)
    try:
        assert (await client.reply()).startswith("220")
        assert (await client.say("LHLO mx.test")).startswith("250")
        yield client
    finally:
        writer.close()
        await writer.wait_closed()
