"""Whether a request is Slack's: an HMAC over its time and its raw body."""

from __future__ import annotations

import hashlib
import hmac
import re

# Seconds by which a request may be older, or newer, than the clock here.
TOLERANCE = 300


def verified(secret: str, timestamp: str | None, signature: str | None, body: bytes, now: float) -> bool:
    """Whether `signature` (X-Slack-Signature) is that of `body`, made at `timestamp`, with `secret`.

    `now` in seconds since the epoch. Never raises, whatever the headers hold.
    """
    if not timestamp or not signature or not re.fullmatch("[0-9]{1,12}", timestamp):
        return False
    if abs(now - int(timestamp)) > TOLERANCE:
        return False
    digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    # As bytes: a text that is not ASCII cannot be compared.
    return hmac.compare_digest(f"v0={digest}".encode(), signature.encode("utf-8", "surrogateescape"))
