"""How a connection begins: the first frame says who comes, what waited is sent, and strangers are greeted."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time

from aiohttp import WSCloseCode

from zoozl.channels.bucket import Bucket
from zoozl.channels.websocket import auth
from zoozl.channels.websocket.connection import Connection
from zoozl.channels.websocket.encode import encode_welcome
from zoozl.channels.websocket.frames import Auth, FrameError, Hello
from zoozl.channels.websocket.options import Options
from zoozl.channels.websocket.talkers import PROVED, TOKEN, Talkers, new_token, talker_of
from zoozl.chatbot.core import Chatbot
from zoozl.chatbot.lru import LRU
from zoozl.chatbot.message import Address, Event, Message
from zoozl.errors import ConfigError, Overloaded, StoreError

log = logging.getLogger(__name__)

# A client has this long to say hello before it is greeted as a plain one.
GREETING_DELAY = 0.3
# Where tokens are asked for, it has this long to show one.
AUTH_TIMEOUT = 10.0
NO_TOKEN = "a token must come first"  # noqa: S105 - a sentence
DAY = 86_400.0
RESUMED_ELSEWHERE, UNAUTHORIZED = 4001, 4401
# Talkers whose share of messages is remembered while they are away.
REMEMBERED = 10_000


class Arrivals:
    """Lets connections in, by themselves or with a token."""

    required = False
    """Nobody is let in without a token."""

    def __init__(self, options: Options, bot: Chatbot, name: str, talkers: Talkers) -> None:
        """Raises ConfigError for a key that tokens cannot be checked with."""
        self._options = options
        self._bot = bot
        self._name = name
        self._talkers = talkers
        self._verify = auth.verifier(options) if options.takes_tokens else None
        self._buckets: LRU[Bucket] = LRU(REMEMBERED)

    def require_identity(self) -> None:
        """Let nobody in without a token. Raises ConfigError if none can be checked."""
        if self._verify is None:
            raise ConfigError("needs auth_secret or auth_public_key: nobody could be let in without")
        self.required = True

    def stranger(self) -> Address:
        """Of a connection that has said nothing yet."""
        # Not `token_urlsafe`: what begins with "-" is an option on a command line, and "r-" is for those who return.
        return Address(self._name, talker=secrets.token_hex(16))

    def open(self, connection: Connection) -> None:
        """A connection is there; its first frame may say more."""
        loop = asyncio.get_running_loop()
        connection.since = loop.time()
        self._talkers.all.add(connection)
        if self.required:
            connection.ready = False
            connection.timer = loop.call_later(AUTH_TIMEOUT, connection.close_soon, UNAUTHORIZED, NO_TOKEN)
        else:
            self._talkers.join(connection, connection.address)
            connection.bucket = self._bucket()
            connection.timer = loop.call_later(GREETING_DELAY, self.greet, connection)

    def leave(self, connection: Connection) -> None:
        """It has ended."""
        connection.release()
        self._talkers.leave(connection)
        self._talkers.all.discard(connection)

    def _bucket(self, talker: str = "") -> Bucket | None:
        """What a talker may send, if that is limited; of one who can come back, as it was left."""
        if self._options.rate is None:
            return None
        bucket = self._buckets.get(talker) if talker else None
        if bucket is None:
            now = asyncio.get_running_loop().time()
            bucket = Bucket(self._options.rate, self._options.rate_period, now)
            if talker:
                self._buckets.put(talker, bucket)
        return bucket

    def begin(self, connection: Connection, frame: Hello | Auth) -> None:
        """The first frame says who comes: with a token, the talker it names, else the one of its resume token.

        Raises FrameError, Refused.
        """
        proof = None
        if frame.token is not None:
            proof = self._proof(frame.token)
        elif self.required:
            raise auth.Refused(NO_TOKEN)
        resume = frame.resume if isinstance(frame, Hello) else None
        known = resume is not None and TOKEN.fullmatch(resume) is not None
        token = resume if resume is not None and known else new_token()
        last = frame.last if isinstance(frame, Hello) and (known or proof is not None) else 0
        if proof is None:
            address = Address(self._name, talker=talker_of(token))
        else:
            address = Address(self._name, PROVED, talker=proof.identity.talker)
            # A proved talker is greeted once, and the store knows whether that was.
            known = False
        self._move(connection, address)
        if proof is not None:
            connection.identity = proof.identity
            self._expire(connection, proof.expires)
        connection.acks = isinstance(frame, Hello)
        connection.ready = False
        connection.greeted = known
        connection.sent = connection.acked = last
        connection.do_soon(self._resume(connection, token if connection.acks else "", last))

    def _proof(self, token: str) -> auth.Proof:
        if self._verify is None:
            raise FrameError("no tokens are taken here")
        try:
            return self._verify(token)
        except auth.Refused as exc:
            log.info("%s%s", exc, f": {exc.__cause__}" if exc.__cause__ else "")
            raise

    def _move(self, connection: Connection, address: Address) -> None:
        """Give the connection to its talker."""
        if connection.timer is not None:
            connection.timer.cancel()
        self._talkers.leave(connection)
        earlier = self._talkers.join(connection, address)
        if earlier is not None:
            earlier.close_soon(RESUMED_ELSEWHERE, "resumed by another connection")
        connection.bucket = self._bucket(connection.prefix)

    def _expire(self, connection: Connection, expires: float) -> None:
        """Close when the token is not valid any more."""
        left = expires - time.time()
        if left <= 0:
            connection.close_soon(UNAUTHORIZED, "the token has expired")
            return
        loop = asyncio.get_running_loop()
        connection.expiry = loop.call_later(min(left, DAY), self._expire, connection, expires)

    async def _resume(self, connection: Connection, token: str, last: int) -> None:
        def ready() -> None:
            connection.ready = True

        if token:
            talker = connection.identity.talker if connection.identity is not None else ""
            await connection.write(encode_welcome(token, talker))
        try:
            await self._bot.resume(connection.address, last, ready)
        except StoreError as exc:
            log.error("a talker cannot be given what waited: %s", exc)
            await connection.close(WSCloseCode.TRY_AGAIN_LATER, "try again later")
            return
        if not connection.greeted:
            self.greet(connection)

    def greet(self, connection: Connection) -> None:
        """Have the talker greeted, once."""
        if connection.greeted:
            return
        connection.greeted = True
        if connection.timer is not None:
            connection.timer.cancel()
        try:
            self._bot.receive(Event(connection.address, Message(), (), "connect", connection.identity))
        except (Overloaded, StoreError) as exc:
            log.warning("no greeting: %s", exc)
