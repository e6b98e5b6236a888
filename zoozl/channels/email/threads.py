"""Which thread a mail belongs to: told by signed addresses and message ids, so that nothing has to be kept.

Everything the bot sends names its thread twice, in the address to answer to (`bot+THREAD.SIGNATURE@...`) and in its
Message-ID (`<THREAD.KEY.SIGNATURE@...>`). A mail that knows neither begins a thread, or goes on with one of its
author's own: the thread is made from the first Message-ID of its References.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

# Characters of base32, 5 bits each; together they must leave room in the 64 characters before the @.
THREAD = 12
SIGNATURE = 10
TAG = re.compile(rf"([a-z2-7]{{{THREAD}}})\.([a-z2-7]{{{SIGNATURE}}})", re.IGNORECASE)
OURS = re.compile(rf"<([a-z2-7]{{{THREAD}}})\.([\w-]{{1,40}})\.([a-z2-7]{{{SIGNATURE}}})@", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Threads:
    """Makes and reads the names of threads. `secret` is the key they are signed with."""

    secret: bytes

    def _sign(self, what: str, *parts: str, length: int) -> str:
        text = "\0".join((what, *parts)).encode("utf-8", "replace")
        digest = hmac.digest(self.secret, text, "sha256")
        return base64.b32encode(digest).decode().lower()[:length]

    def begun_by(self, message_id: str) -> str:
        """The thread that begins with a mail."""
        return self._sign("thread", message_id, length=THREAD)

    def tag(self, thread: str) -> str:
        """What stands behind the + of the address to answer to."""
        return f"{thread}.{self._sign('tag', thread, length=SIGNATURE)}"

    def of_tag(self, tag: str) -> str:
        """The thread of a tag, "" if we have not made it."""
        found = TAG.fullmatch(tag)
        if found is None:
            return ""
        # Some servers write the local part in other letters.
        thread = found[1].lower()
        return thread if hmac.compare_digest(self.tag(thread), tag.lower()) else ""

    def message_id(self, thread: str, key: str, talker: str, domain: str) -> str:
        """The Message-ID of the mail that answers `talker`; the same for the same `key`."""
        signature = self._sign("id", thread, key, talker, length=SIGNATURE)
        return f"<{thread}.{key}.{signature}@{domain}>"

    def of_message_id(self, message_id: str, talker: str) -> str:
        """The thread of a Message-ID that was made for `talker`, "" for any other."""
        found = OURS.match(message_id)
        if found is None:
            return ""
        thread = found[1].lower()
        right = self._sign("id", thread, found[2], talker, length=SIGNATURE)
        return thread if hmac.compare_digest(right, found[3].lower()) else ""

    def find(self, tag: str, in_reply_to: Sequence[str], references: Sequence[str], own_id: str, talker: str) -> str:
        """The thread of a mail: by its tag, by what it answers, else by the first mail of its References."""
        if thread := self.of_tag(tag):
            return thread
        for message_id in (*in_reply_to, *reversed(references)):
            if thread := self.of_message_id(message_id, talker):
                return thread
        root = next(iter((*references, *in_reply_to, own_id)))
        return self.begun_by(root)


def split_address(address: str) -> tuple[str, str, str]:
    """(local part, tag, domain) of an address, in lower case but for the tag; the domain is "" if there is none."""
    local, _, domain = address.rpartition("@")
    local, _, tag = local.partition("+")
    return local.casefold(), tag, domain.casefold().rstrip(".")


def normal(address: str) -> str:
    """An address as it is compared: in lower case."""
    local, at, domain = address.rpartition("@")
    return f"{local.casefold()}{at}{domain.casefold().rstrip('.')}"
