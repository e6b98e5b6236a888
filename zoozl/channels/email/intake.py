"""A mail that has come becomes an event: who wrote it, in which thread, what is new in it. No IO but the bot's."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

from zoozl.channels.access import Access
from zoozl.channels.email import mime
from zoozl.channels.email.compose import Envelope
from zoozl.channels.email.options import Options
from zoozl.channels.email.threads import Threads, normal, split_address
from zoozl.channels.email.trust import verdict
from zoozl.chatbot.identity import Identity
from zoozl.chatbot.message import Address, Event, Message, MessagePart
from zoozl.chatbot.question import plain

log = logging.getLogger(__name__)


def identity_of(mail: mime.Mail, options: Options, access: Access) -> Identity | None:
    """Who the author has proved to be, to the own mail server."""
    if options.authserv_id is None or not mail.author:
        return None
    method = verdict(mail.header, mail.author, options.authserv_id)
    if not method:
        return None
    author = normal(mail.author)
    return Identity(author, {"email": author, "method": method}, access.roles([author]))


def event_of(
    mail: mime.Mail,
    raw: bytes,
    *,
    sender: str,
    recipient: str,
    channel: str,
    account: str,
    threads: Threads,
    options: Options,
    identity: Identity | None,
) -> Event:
    """The event of a mail that came from the envelope's `sender` to `recipient`."""
    # Whoever gets the answer is whose conversation it is: else one could have somebody's answers sent elsewhere.
    talker = normal(mail.reply_to)
    tag = split_address(recipient)[1]
    # Without a Message-ID a mail is known by what it is.
    own_id = mail.message_id or hashlib.sha256(raw).hexdigest()
    thread = threads.find(tag, mail.in_reply_to, mail.references, own_id, talker)
    message = Message(
        _parts(mail, options, is_reply=mail.is_reply or bool(tag)), mail.reply_name or talker, id=mail.message_id
    )
    message.envelope = Envelope.of(mail).dump()
    key = hashlib.sha256("\0".join((own_id, sender, normal(recipient))).encode("utf-8", "replace")).hexdigest()
    return Event(Address(channel, account, "", thread, talker), message, (f"mail:{key}",), "message", identity)


def _parts(mail: mime.Mail, options: Options, *, is_reply: bool) -> list[MessagePart]:
    """Subject (of a mail that answers none), text and files."""
    text = mail.text
    parts = []
    said_twice = plain(mail.subject) == plain(text)
    # A command is one only at the very beginning.
    is_command = text.lstrip().startswith(("/", "!"))
    if options.read_subject == "first" and mail.subject and not (is_reply or said_twice or is_command):
        parts.append(MessagePart(mail.subject))
    if text or not parts:
        parts.append(MessagePart(text, full=mail.full if mail.full != text else ""))
    return [*parts, *mail.files]


def names(mail: mime.Mail, identity: Identity | None) -> Sequence[str]:
    """The names that access goes by: a proved address, else those that the mail claims."""
    return [identity.talker] if identity is not None else [normal(mail.author), normal(mail.reply_to)]
