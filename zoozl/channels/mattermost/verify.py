"""What comes back from Mattermost unsigned: the bot's own seal on buttons and forms, and the token of commands."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any

# Characters of a seal. The largest holds a form with its fields.
LONGEST = 256 << 10


class Forged(ValueError):
    """A seal that is missing, not the bot's own, or for something else."""


class Expired(Forged):
    """A seal of the bot's own whose time is over."""


def key_of(token: str) -> bytes:
    """The key of the seals of a bot: the same after a restart, and of no use to get the token."""
    return hashlib.sha256(b"zoozl mattermost seal\0" + token.encode()).digest()


def seal(key: bytes, purpose: str, value: Any, expires: float) -> str:
    """`value`, which is JSON, as a text that `unseal` takes for the same purpose until `expires` (epoch seconds)."""
    body = base64.urlsafe_b64encode(json.dumps([value, int(expires)], separators=(",", ":")).encode()).decode()
    return f"{body}.{_mac(key, purpose, body)}"


def unseal(key: bytes, purpose: str, sealed: object, now: float) -> Any:
    """What was sealed. Raises Forged, Expired."""
    if not isinstance(sealed, str) or len(sealed) > LONGEST or not sealed.isascii():
        raise Forged("there is no seal")
    body, _, mac = sealed.rpartition(".")
    if not hmac.compare_digest(mac, _mac(key, purpose, body)):
        raise Forged("the seal is not ours")
    value, expires = json.loads(base64.urlsafe_b64decode(body))
    if now >= expires:
        raise Expired("the seal has expired")
    return value


def is_command_token(given: object, tokens: Iterable[str]) -> bool:
    """Whether a command shows a token that was issued for one; "" never is."""
    if not isinstance(given, str) or not given:
        return False
    found = False
    for token in tokens:
        # All of them are compared: how long it takes tells nothing.
        found |= hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
    return found


def _mac(key: bytes, purpose: str, body: str) -> str:
    return hmac.new(key, f"{purpose}\0{body}".encode(), hashlib.sha256).hexdigest()
