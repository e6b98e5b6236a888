"""Delivery reports (RFC 3464): which address cannot be reached for good."""

from __future__ import annotations

import email
from email.message import Message as Part

from zoozl.channels.email import mime

# Bytes; a report is short, but for the mail that it may carry along.
LONGEST = 256 << 10


def failed(raw: bytes) -> list[tuple[str, str]]:
    """(address, Message-ID of the mail that did not arrive) of each recipient that a report gives up."""
    if len(raw) > LONGEST or mime._too_much(raw):
        raw = raw[:LONGEST]
    try:
        message = email.message_from_bytes(raw)
        if message.get_content_type() != "multipart/report" or not message.is_multipart():
            return []
        parts = [part for _, part in zip(range(mime.MOST_PARTS), message.walk(), strict=False)]
    except mime.FAULTS:
        return []
    original = _original_id(parts)
    return [(address, original) for part in parts if (address := _given_up(part)) and original]


def _original_id(parts: list[Part]) -> str:
    for part in parts[1:]:
        kind = part.get_content_type()
        if kind == "text/rfc822-headers":
            header = mime.header_of(mime._bytes(part) + b"\r\n\r\n")
            if header is not None and (found := mime.ids(header, "Message-ID")):
                return found[0]
        elif "Message-ID" in part and (found := mime.ids(part, "Message-ID")):
            return found[0]
    return ""


def _given_up(part: Part) -> str:
    """The recipient that a block of a report is about, if it has failed for good; "" if not."""
    recipient = str(part.get("Final-Recipient", "")).partition(";")[2].strip().strip("<>")
    action = str(part.get("Action", "")).strip().casefold()
    status = str(part.get("Status", "")).strip()
    return recipient if action == "failed" and status.startswith("5.") else ""
