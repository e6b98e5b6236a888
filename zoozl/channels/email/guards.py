"""Which mails are never answered: other robots, lists, bounces and the bot itself (RFC 3834, section 2)."""

from __future__ import annotations

import re
from collections.abc import Collection
from email.message import Message as Part

from zoozl.channels.email.threads import normal, split_address

MOST_HOPS = 30
# Local parts that no person reads.
ROBOT = re.compile(
    r"(?:mailer-daemon|postmaster|no-?_?reply|do-?not-?reply|owner-.*|.*-owner|.*-request|.*-bounces?|bounces?(?:[+-].*)?"
    r"|listserv|majordomo|auto-?reply)",
    re.IGNORECASE,
)
LISTS = ("List-Id", "List-Unsubscribe", "List-Post", "List-Help", "List-Archive", "Mailing-List")
OTHERS = ("X-Autoreply", "X-Autorespond", "X-Autoresponse", "Feedback-ID", "X-Auto-Reply-From")
REPORTS = ("multipart/report", "message/delivery-status", "message/disposition-notification")
SUPPRESSED = ("all", "oof", "autoreply")


def reason_not_to_answer(header: Part, sender: str, answer_to: str, own: Collection[str], own_id: str) -> str:
    """Why a mail must not be answered, in words for the log; "" if it may be.

    `sender` is the envelope's, `answer_to` where an answer would go, `own` the bot's addresses (as `normal` gives
    them), `own_id` what it writes into X-Loop.
    """
    if not sender:
        return "the envelope sender is empty"
    for address, what in ((sender, "the envelope sender"), (answer_to, "the address to answer to")):
        local, tag, domain = split_address(address)
        if f"{local}@{domain}" in own or normal(address) in own:
            return f"{what} is an address of the bot"
        if ROBOT.fullmatch(f"{local}+{tag}" if tag else local) or ROBOT.fullmatch(local):
            return f"{what} belongs to no person"
    if not answer_to:
        return "there is no address to answer to"
    for author in header.get_all("From", [])[:5]:
        if any(known in str(author).casefold() for known in own):
            return "From is an address of the bot"
    return _by_header(header, own_id)


def _by_header(header: Part, own_id: str) -> str:
    automatic = _first_word(header, "Auto-Submitted")
    if automatic and automatic != "no":
        return "Auto-Submitted"
    if _first_word(header, "Precedence") in ("bulk", "junk", "list"):
        return "Precedence"
    present = {name.lower() for name in header}
    for name in (*LISTS, *OTHERS):
        if name.lower() in present:
            return name
    if str(header.get("Return-Path", "")).strip() == "<>":
        return "Return-Path"
    suppressed = str(header.get("X-Auto-Response-Suppress", "")).casefold()
    if any(word.strip() in SUPPRESSED for word in suppressed.split(",")):
        return "X-Auto-Response-Suppress"
    if any(own_id in str(value) for value in header.get_all("X-Loop", [])):
        return "X-Loop"
    if header.get_content_type() in REPORTS:
        return header.get_content_type()
    if len(header.get_all("Received", [])) > MOST_HOPS:
        return "too many Received fields"
    return ""


def _first_word(header: Part, name: str) -> str:
    return re.split(r"[\s;(]", str(header.get(name, "")).strip().casefold(), maxsplit=1)[0]
