"""Replies of one turn as one mail, which mail programs show in its thread and robots leave alone."""

from __future__ import annotations

import mimetypes
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from html import escape
from urllib.parse import quote

from zoozl.channels.email import mime
from zoozl.channels.email.policy import SMTP
from zoozl.channels.render.html import to_html
from zoozl.chatbot.message import Message, MessagePart
from zoozl.chatbot.question import Kind

# Characters of all References; RFC 5322 allows 998 in a line, folded or not.
LONGEST_REFERENCES = 900
MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
HINT = "(Reply to this mail with a number or the words of your choice.)"
YES_OR_NO = "(Reply to this mail with yes or no.)"
TOO_LARGE = "[{} is left out: it is too large for a mail.]"
# Base64 and its line breaks.
GROWTH = 1.37
ROOM_FOR_TEXT = 64 << 10


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a reply needs of the mail that it answers; "" and () for what there is not."""

    message_id: str = ""
    references: tuple[str, ...] = ()
    subject: str = ""
    to: str = ""
    to_name: str = ""

    @classmethod
    def of(cls, mail: mime.Mail) -> Envelope:
        """The one of a mail that came in."""
        earlier = mail.references or mail.in_reply_to[:1]
        references = _capped([*earlier, mail.message_id]) if mail.message_id else ()
        return cls(mail.message_id, references, mime.bare_subject(mail.subject), mail.reply_to, mail.reply_name)

    def dump(self) -> dict[str, object]:
        """As JSON."""
        return {
            "message_id": self.message_id,
            "references": list(self.references),
            "subject": self.subject,
            "to": self.to,
            "to_name": self.to_name,
        }

    @classmethod
    def load(cls, packed: Mapping[str, object]) -> Envelope:
        """The reverse of `dump`."""
        references = packed.get("references")
        return cls(
            str(packed.get("message_id", "")),
            tuple(map(str, references)) if isinstance(references, list) else (),
            str(packed.get("subject", "")),
            str(packed.get("to", "")),
            str(packed.get("to_name", "")),
        )


def _capped(references: Sequence[str]) -> tuple[str, ...]:
    """Without some from the middle, if they are too long for a line: the first and the last ones matter."""
    kept: list[str] = []
    left = LONGEST_REFERENCES - len(references[0])
    for reference in reversed(references[1:]):
        left -= len(reference) + 1
        if left < 0:
            break
        kept.insert(0, reference)
    return (references[0], *kept)


def compose(
    replies: Sequence[Message],
    envelope: Envelope,
    *,
    sender: str,
    answer_to: str,
    to: str,
    message_id: str,
    loop_id: str,
    subject: str,
    largest: int,
) -> EmailMessage:
    """One mail of all `replies`, in their order.

    `subject` is for a mail that answers none. Files that would make it larger than `largest` bytes are left out, and
    the text says so. Raises ValueError for addresses that no mail can have.
    """
    mail = EmailMessage(policy=SMTP)
    author = _words(next((reply.author for reply in replies if reply.author), ""))
    mail["From"] = _mailbox(sender, author)
    if answer_to != sender:
        mail["Reply-To"] = _mailbox(answer_to, author)
    mail["To"] = _mailbox(to, _words(envelope.to_name))
    about = _words(envelope.subject)
    mail["Subject"] = f"Re: {about}" if envelope.message_id or about else _words(subject)
    mail["Date"] = max(reply.sent for reply in replies)
    mail["Message-ID"] = message_id
    if envelope.message_id:
        mail["In-Reply-To"] = envelope.message_id
        mail["References"] = " ".join(envelope.references)
    mail["Auto-Submitted"] = "auto-replied" if envelope.message_id else "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["X-Loop"] = loop_id
    files, left_out = _fitting([file for reply in replies for file in reply.files], largest)
    blocks = [(text(reply), html(reply, answer_to, about)) for reply in replies if reply.text.strip()]
    notes = [TOO_LARGE.format(mime.safe_name(file.filename) or "a file") for file in left_out]
    mail.set_content(_unicode("\n\n".join([*(words for words, _ in blocks), *notes]) + "\n"), cte="quoted-printable")
    if blocks or notes:
        body = "\n".join([*(shown for _, shown in blocks), *(f"<p>{escape(note)}</p>" for note in notes)])
        page = f'<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head><body>\n{body}\n</body></html>\n'
        mail.add_alternative(_unicode(page), subtype="html", cte="quoted-printable")
    for file in files:
        _attach(mail, file)
    for part in mail.walk():
        if part.is_multipart():
            # Nobody can have written it into a text; the library would look whether somebody has.
            part.set_boundary(f"=_{secrets.token_hex(16)}")
    return mail


def text(reply: Message) -> str:
    """A reply as plain text: it is Markdown, which reads well as it is. A question says how to answer it."""
    words = reply.text.strip()
    hint = _hint(reply)
    return f"{words}\n\n{hint}" if hint else words


def _hint(reply: Message) -> str:
    kind = reply.question.kind if reply.question is not None else None
    return HINT if kind is Kind.CHOICE else YES_OR_NO if kind is Kind.CONFIRM else ""


def html(reply: Message, answer_to: str, subject: str) -> str:
    """A reply as HTML. Each choice is a link that writes the answer."""
    question = reply.question
    if question is None or question.kind not in (Kind.CHOICE, Kind.CONFIRM) or reply.text != question.text:
        hint = _hint(reply)
        return to_html(reply.text) + (f"<p><small>{escape(hint)}</small></p>" if hint else "")
    labels = [choice.label for choice in question.choices] if question.kind is Kind.CHOICE else ["Yes", "No"]
    links = "".join(
        f'<li><a href="{escape(_answer(answer_to, subject, label))}">{escape(label)}</a></li>' for label in labels
    )
    return f"{to_html(question.prompt)}<ol>{links}</ol><p><small>{escape(_hint(reply))}</small></p>"


def _answer(answer_to: str, subject: str, label: str) -> str:
    return f"mailto:{quote(answer_to, safe='@+')}?subject={quote(f'Re: {subject}')}&body={quote(_unicode(label))}"


def _fitting(files: Sequence[MessagePart], largest: int) -> tuple[list[MessagePart], list[MessagePart]]:
    left = largest - ROOM_FOR_TEXT
    fitting, others = [], []
    for file in files:
        left -= (size := int(len(file.binary) * GROWTH) + 1_000)
        if left < 0:
            left += size
            others.append(file)
        else:
            fitting.append(file)
    return fitting, others


def _attach(mail: EmailMessage, file: MessagePart) -> None:
    name = _words(mime.safe_name(file.filename))
    kind = file.media_type if MEDIA_TYPE.fullmatch(file.media_type) else mimetypes.guess_type(name)[0]
    kind = kind or "application/octet-stream"
    if kind.startswith(("message/", "multipart/")):
        # These must not be encoded, and their inside would have to be right.
        kind = "application/octet-stream"
    main, _, sub = kind.partition("/")
    mail.add_attachment(
        file.binary, maintype=main, subtype=sub, filename=name or f"file{mimetypes.guess_extension(kind) or ''}"
    )


def _mailbox(address: str, name: str) -> Mailbox | str:
    """For a field; an address that is as addresses are need not be looked into again."""
    local, _, domain = address.rpartition("@")
    mailbox = Mailbox(name, username=local, domain=domain)
    return str(mailbox) if mime.ADDRESS.fullmatch(address) else mailbox


def _words(text: str) -> str:
    """One line, in which nothing looks like an encoded word: the standard library would decode it when it writes."""
    return mime.one_line(text).replace("=?", "= ?")


def _unicode(words: str) -> str:
    return words.encode("utf-8", "replace").decode()
