"""The e-mail channel: takes mails by LMTP, sends the replies of each turn as one mail."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from typing import ClassVar

from zoozl.channels.access import Access
from zoozl.channels.email import bounces, guards, intake, mime
from zoozl.channels.email.check import check
from zoozl.channels.email.compose import Envelope, compose
from zoozl.channels.email.lmtp import TEMPORARY, Connection
from zoozl.channels.email.options import Options
from zoozl.channels.email.submit import submit, tls_context, with_ascii_domain
from zoozl.channels.email.threads import Threads, normal, split_address
from zoozl.channels.http import CannotListen
from zoozl.channels.loop_breaker import LoopBreaker
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.message import Address, Event, Message
from zoozl.chatbot.ports import Receipt
from zoozl.doctor import Finding
from zoozl.errors import ConfigError, DeliveryError, Overloaded, StoreError, Undeliverable

log = logging.getLogger(__name__)

OK = "250 2.0.0 OK"
FULL = "452 4.3.1 Too much to do, try again later"
UNREADABLE = "554 5.6.0 The header is too large"
# Bytes; a larger mail is taken apart in a thread.
LARGE = 64 << 10
KEPT = 10_000
MINUTES, DAY = 600.0, 86_400.0


class Channel:
    """Mails of one bot."""

    scheme = "lmtp"
    shows: ClassVar[tuple[str, ...]] = ()
    # The outbox hands over all replies of a turn at once.
    gathers = True

    def __init__(self, options: Options, bot: Chatbot, name: str) -> None:
        """Raises ConfigError for files that cannot be used."""
        if options.address is None:
            raise ConfigError("address is missing")
        self.name = name
        self._options = options
        self._bot = bot
        self._address = options.address
        self._account = normal(options.address)
        self._own = {normal(address) for address in (options.address, *options.recipients)}
        self._bounces = normal(options.bounce_address) if options.bounce_address is not None else ""
        self._access = Access(options)
        self._only_known = False
        self._tls = tls_context(options)
        limits = [(options.limit_10_minutes, MINUTES), (options.limit_day, DAY)]
        self._breaker = LoopBreaker([limit for limit in limits if limit[0]])
        self._space = f"channel:{name}"
        self._threads: Threads | None = None
        self._dead: set[str] = set()
        self._opening = asyncio.Lock()
        self._envelopes: LRU[Envelope] = LRU(KEPT)
        self._failures: LRU[int] = LRU(KEPT)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    def require_identity(self) -> None:
        """Take nothing from people who are not known. Raises ConfigError if nobody can be."""
        if self._options.authserv_id is None:
            raise ConfigError("needs authserv_id: nobody who writes a mail is known otherwise")
        self._only_known = True

    async def listen(self, host: str) -> None:
        """Open the LMTP port. Raises CannotListen."""
        options, loop = self._options, asyncio.get_running_loop()
        assert options.port is not None
        domain = self._account.rpartition("@")[2]

        def connected() -> Connection:
            return Connection(
                self,
                self._connections,
                options.max_connections,
                hostname=domain,
                ident="LMTP zoozl",
                data_size_limit=options.max_bytes,
                enable_SMTPUTF8=True,
                timeout=options.timeout,
                loop=loop,
            )

        try:
            self._server = await loop.create_server(connected, host, options.port)
        except (OSError, ValueError) as exc:
            raise CannotListen(host, options.port, exc) from exc

    @property
    def port(self) -> int:
        """The port that is really listened on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    # Mails that come

    def knows(self, recipient: str) -> bool:
        """Whether mail to this address is for the bot."""
        local, _, domain = split_address(recipient)
        return f"{local}@{domain}" in self._own or self._is_for_bounces(recipient)

    def _is_for_bounces(self, recipient: str) -> bool:
        return bool(self._bounces) and normal(recipient) == self._bounces

    async def take(self, sender: str, recipients: Sequence[str], content: bytes) -> Sequence[str]:
        """Take a mail durably; a status line for each recipient, in their order."""
        if not sender:
            await self._take_report(content)
            return [OK] * len(recipients)
        if len(content) > LARGE:
            mail = await asyncio.to_thread(mime.parse, content)
        else:
            mail = mime.parse(content)
        reason = guards.reason_not_to_answer(mail.header, sender, mail.reply_to, self._own, self._account)
        if reason:
            log.info("a mail is not answered: %s", reason)
            return [OK] * len(recipients)
        try:
            threads = await self._ready()
        except StoreError as exc:
            log.error("a mail cannot be taken: %s", exc)
            return [TEMPORARY] * len(recipients)
        identity = intake.identity_of(mail, self._options, self._access)
        taken: list[Receipt | str] = []
        for recipient in recipients:
            if self._is_for_bounces(recipient):
                taken.append(OK)
                continue
            event = intake.event_of(
                mail,
                content,
                sender=sender,
                recipient=recipient,
                channel=self.name,
                account=self._account,
                threads=threads,
                options=self._options,
                identity=identity,
            )
            taken.append(self._receive(mail, event))
        return [await self._status(one) for one in taken]

    def _receive(self, mail: mime.Mail, event: Event) -> Receipt | str:
        """Hand an event to the bot, if it may be taken; a status line if not, or not now."""
        now = asyncio.get_running_loop().time()
        talker, known = event.address.talker, event.identity is not None
        if self._breaker.is_open(talker, now):
            log.warning("a mail is not answered: its sender has reached limit_10_minutes or limit_day")
            return OK
        if self._only_known and not known:
            log.info("a mail is not answered: its sender is not known")
            return OK
        proved = known or self._options.access != "closed"
        if not proved or not self._access.admits(intake.names(mail, event.identity), None):
            self._refuse(event, now, known=known)
            return OK
        assert event.message.envelope is not None
        self._envelopes.put(event.address.thread, Envelope.load(event.message.envelope))
        try:
            return self._bot.receive(event)
        except Overloaded as exc:
            log.warning("a mail is refused for now: %s", exc)
            return FULL

    def _refuse(self, event: Event, now: float, *, known: bool) -> None:
        log.info("a mail is not answered: its sender may not talk")
        # Who is not known may not have written it.
        if known and (words := self._access.refusal(event.address.talker, now)):
            refusal = Message(words)
            refusal.envelope = event.message.envelope
            self._bot.tell(event.address, refusal)
            self._breaker.count(event.address.talker, now)

    async def _status(self, taken: Receipt | str) -> str:
        if isinstance(taken, str):
            return taken
        try:
            await taken.acknowledged()
        except StoreError as exc:
            log.error("a mail could not be stored: %s", exc)
            return TEMPORARY
        talker = taken.event.address.talker
        if not taken.duplicate:
            self._breaker.count(talker, asyncio.get_running_loop().time())
        if talker in self._dead:
            await self._mark(talker, dead=False)
        return OK

    async def _take_report(self, content: bytes) -> None:
        """An address that a delivery report gives up gets no more mails, until something comes from it."""
        try:
            threads = await self._ready()
            failed = await asyncio.to_thread(bounces.failed, content)
            for recipient, message_id in failed:
                talker = normal(recipient)
                # Only of a mail that we have sent there: anybody can write reports.
                if threads.of_message_id(message_id, talker):
                    log.warning("an address is given up: a mail to it came back")
                    await self._mark(talker, dead=True)
        except StoreError as exc:
            log.error("a delivery report is not heeded: %s", exc)

    async def _mark(self, talker: str, *, dead: bool) -> None:
        try:
            await self._bot.root.store.put(self._space, f"dead:{talker}", "true" if dead else None)
        except StoreError as exc:
            log.error("it is not kept that an address %s: %s", "is dead" if dead else "lives", exc)
        if dead:
            self._dead.add(talker)
        else:
            self._dead.discard(talker)

    async def _ready(self) -> Threads:
        """What the store keeps for the channel, read once. Raises StoreError."""
        if self._threads is not None:
            return self._threads
        async with self._opening:
            if self._threads is None:
                store = self._bot.root.store
                given = self._options.secret
                key = given.get_secret_value() if given is not None else await store.get(self._space, "secret")
                if key is None:
                    key = secrets.token_hex(32)
                    await store.put(self._space, "secret", key)
                self._dead = {name.removeprefix("dead:") for name in await store.keys(self._space, "dead:")}
                self._threads = Threads(key.encode())
        return self._threads

    # Mails that go

    async def send(self, address: Address, message: Message, key: str) -> None:
        """Send one reply as a mail. Raises DeliveryError or Undeliverable."""
        await self.send_all(address, [message], key)

    async def send_all(self, address: Address, messages: Sequence[Message], key: str) -> None:
        """Send all replies of a turn as one mail. Raises DeliveryError or Undeliverable.

        The same `key` is the same mail, with the same Message-ID.
        """
        try:
            threads = await self._ready()
        except StoreError as exc:
            raise DeliveryError(f"the store cannot be read: {exc}") from exc
        talker = address.talker
        if talker in self._dead:
            raise Undeliverable("mails to this address come back")
        thread = address.thread or threads.begun_by(f"{talker} {key}")
        envelope = self._envelope(messages, thread)
        local, _, domain = self._address.rpartition("@")
        answer_to = f"{local}+{threads.tag(thread)}@{domain}" if self._options.plus_tags else self._address
        # The letters as the author writes them, if it is the author.
        to = with_ascii_domain(envelope.to if normal(envelope.to) == talker else talker)
        try:
            mail = compose(
                messages,
                envelope,
                sender=self._address,
                answer_to=answer_to,
                to=to,
                message_id=threads.message_id(thread, key, talker, domain),
                loop_id=self._account,
                subject=self._options.subject,
                largest=self._options.max_bytes,
            )
        except (ValueError, IndexError, AttributeError) as exc:
            raise Undeliverable(f"no mail can be written to this address: {exc}") from exc
        failures = self._failures.get(key) or 0
        try:
            await submit(self._options, self._tls, mail, to, failures)
        except Undeliverable:
            raise
        except DeliveryError:
            self._failures.put(key, failures + 1)
            raise

    def _envelope(self, messages: Sequence[Message], thread: str) -> Envelope:
        """Of the mail that is answered, else of the last one of the thread."""
        packed = next((message.envelope for message in messages if message.envelope is not None), None)
        return Envelope.load(packed) if packed is not None else self._envelopes.get(thread) or Envelope()

    async def close(self) -> None:
        """Stop listening; who is connected is let go."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            if connection.transport is not None:
                connection.transport.close()
        await self._server.wait_closed()

    @classmethod
    async def check(cls, options: Options) -> list[Finding]:
        """What `zoozl doctor` finds."""
        return await check(options)
