"""Who is there: the connections of every talker, and who a talker is."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence

from zoozl.channels.websocket.connection import Connection
from zoozl.chatbot.message import Address, scope_key

# Talkers with a resume token; the others are gone for good when their socket is.
RESUMABLE = "r-"
TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
# The account of talkers who have proved who they are: their names are their own, and no other can be like them.
PROVED = "token"


def new_token() -> str:
    """For a talker who can come back with it."""
    return secrets.token_urlsafe(32)


def talker_of(token: str) -> str:
    """Who comes with a resume token. The token is the proof, and is kept nowhere: only its hash has a name."""
    digest = hashlib.sha256(token.encode()).digest()
    return RESUMABLE + base64.urlsafe_b64encode(digest[:18]).decode()


def can_come_back(address: Address) -> bool:
    """Whether replies wait for a talker who is not there."""
    return bool(address.account) or address.talker.startswith(RESUMABLE)


class Talkers:
    """Of a talker without proof the latest connection counts; one with proof has as many as there are devices."""

    def __init__(self) -> None:
        self.all: set[Connection] = set()
        self.single: dict[str, Connection] = {}
        """By talker, those without proof."""
        self._proved: dict[str, list[Connection]] = {}

    def join(self, connection: Connection, address: Address) -> Connection | None:
        """Replies to `address` go to this connection from now on; the one that they went to before, if it has to go."""
        connection.address = address
        if address.account:
            self._proved.setdefault(address.talker, []).append(connection)
            connection.prefix = scope_key(address)
            return None
        earlier = self.single.get(address.talker)
        self.single[address.talker] = connection
        connection.prefix = address.talker
        return earlier

    def leave(self, connection: Connection) -> None:
        """Replies to its talker do not go to this connection any more."""
        talker = connection.address.talker
        if connection.address.account:
            others = self._proved[talker]
            others.remove(connection)
            if not others:
                del self._proved[talker]
        elif self.single.get(talker) is connection:
            del self.single[talker]

    def of(self, address: Address) -> Sequence[Connection]:
        """The connections to which something may be sent now."""
        if address.account:
            return [c for c in self._proved.get(address.talker, ()) if c.ready and not c.socket.closed]
        connection = self.single.get(address.talker)
        return () if connection is None or connection.socket.closed or not connection.ready else (connection,)
