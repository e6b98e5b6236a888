"""A mail as it came, taken apart: who, what, in which words, with which files. Nothing in it can make this fail.

The old policy of the standard library (compat32) reads it: it takes every header as it is, and a tenth of the time.
"""

from __future__ import annotations

import email
import email.errors
import email.message
import email.parser
import email.utils
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.header import Header, decode_header
from email.message import Message as Part

from zoozl.channels.email import html_text, quotes, verbatim
from zoozl.chatbot.message import MessagePart

MOST_PARTS = 100
DEEPEST = 20
# Headers that open a part with parts, and lines times those: a mail over it is read as one text.
MOST_CONTAINERS = 60
MOST_WORK = 4_000_000
# Bytes of a header, of a mail that cannot be taken apart, and characters of a text and a name.
LONGEST_HEADER = 256 << 10
LONGEST_FLAT = 256 << 10
LONGEST_TEXT = 100_000
LONGEST_NAME = 120
LONGEST_SUBJECT = 500
LONGEST_ID = 500
MOST_IDS = 50
MOST_ADDRESSES = 100

CONTAINER = re.compile(rb"^content-type:\s*(?:multipart|message)/", re.IGNORECASE | re.MULTILINE)
END_OF_HEADER = re.compile(rb"\n\r?\n")
# Printable ASCII without < and >.
MESSAGE_ID = re.compile(rf"<[\x21-\x3b\x3d\x3f-\x7e]{{1,{LONGEST_ID}}}>")
ADDRESS = re.compile(r"[^@\s<>\"(),:;\\\[\]]{1,64}@[^@\s<>\"(),:;\\\[\]]{1,253}")
REPLY = re.compile(
    r"(?:re|aw|sv|antw|antwort|vs|ref|rif|r|odp|atb|回复|答复|ответ|на)\s{0,3}(?:\[\d{1,3}\]|\(\d{1,3}\))?\s{0,3}[:：]\s{0,5}",  # noqa: RUF001
    re.IGNORECASE,
)
# What the standard library raises for mails that are broken on purpose: its parser has faults of its own.
# HeaderParseError and its kin are a MessageError, which is no ValueError.
FAULTS = (
    email.errors.MessageError,
    RecursionError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
)
# Codecs that are none for text, or that take long for much of it.
NOT_FOR_TEXT = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"})


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail, as far as it can be read."""

    header: Part
    """Its header fields, as the standard library has them."""
    subject: str
    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    author: str
    """The address in From; "" if there is none that can be read, or more than one."""
    author_name: str
    reply_to: str
    """Where answers go: Reply-To, else From; "" if neither can be read."""
    reply_name: str
    text: str
    """What its author has newly written."""
    full: str
    """The same with what is quoted, signature and so on."""
    files: tuple[MessagePart, ...]

    @property
    def is_reply(self) -> bool:
        """Whether it answers another one."""
        return bool(self.in_reply_to or self.references) or REPLY.match(self.subject) is not None


def header_of(raw: bytes) -> Part | None:
    """The header fields of a mail, None if they are too long to be read."""
    return _header(raw[: _length_of_header(raw)])


def parse(raw: bytes) -> Mail:
    """Take a mail apart. Whatever is broken in it is left out, or read as text."""
    length = _length_of_header(raw)
    header = body = None
    if not _too_much(raw):
        try:
            message = email.message_from_bytes(raw)
            body = _Body(message)
            if length <= LONGEST_HEADER + 4:
                header = message
        except FAULTS:
            body = None
    if header is None:
        header = _header(raw[:length]) or email.message.Message()
    if body is None:
        body = _Body(None)
        body.add_text(_decode(raw[length : length + LONGEST_FLAT], "utf-8"))
    authors = header.get_all("From", [])
    author, author_name = _one_address(authors)
    reply_to, reply_name = _one_address(header.get_all("Reply-To", [])[:1], first=True)
    if not reply_to and author and len(authors) == 1:
        reply_to, reply_name = author, author_name
    elif not reply_to:
        reply_to, reply_name = _one_address(authors[:1], first=True)
    full = body.text()
    return Mail(
        header,
        subject_of(header),
        next(iter(ids(header, "Message-ID")), ""),
        tuple(ids(header, "In-Reply-To")),
        tuple(ids(header, "References")),
        author,
        author_name,
        reply_to,
        reply_name,
        # A bit more than is kept, so that its end is not taken for the end.
        quotes.new_text(full[: 2 * LONGEST_TEXT])[:LONGEST_TEXT],
        quotes.without_marks(full),
        tuple(body.files),
    )


def _length_of_header(raw: bytes) -> int:
    found = END_OF_HEADER.search(raw, 0, LONGEST_HEADER + 4)
    if found is not None:
        return found.end()
    return len(raw)


def _header(raw: bytes) -> Part | None:
    if len(raw) > LONGEST_HEADER + 4:
        return None
    try:
        return email.parser.BytesParser().parsebytes(raw, headersonly=True)
    except FAULTS:
        return email.message.Message()


def _too_much(raw: bytes) -> bool:
    """Whether taking it apart could take long: the parser looks at each line once for every part around it."""
    if not raw:
        return False
    containers = sum(1 for _, _ in zip(range(MOST_CONTAINERS + 1), CONTAINER.finditer(raw), strict=False))
    return containers > MOST_CONTAINERS or raw.count(b"\n") * (containers + 1) > MOST_WORK


def words(value: object) -> str:
    """A header field's value as text: encoded words decoded, one line, without control characters."""
    text = str(value) if not isinstance(value, Header) else _raw_words(value)
    if "=?" in text:
        try:
            text = "".join(_decode_word(chunk, charset) for chunk, charset in decode_header(text[:LONGEST_HEADER]))
        except FAULTS:
            pass  # a broken encoded word is read as it stands
    return one_line(text)


def _raw_words(value: Header) -> str:
    """A field with raw 8-bit text, which nearly always is UTF-8."""
    return "".join(_decode_word(chunk, "utf-8") for chunk, _ in decode_header(value))


def _decode_word(chunk: bytes | str, charset: str | None) -> str:
    if isinstance(chunk, str):
        return chunk
    # Without a charset it is a text between encoded words.
    return _decode(chunk, charset if charset not in (None, "unknown-8bit") else "utf-8")


def one_line(text: str) -> str:
    """Without line breaks, control characters and what is no Unicode; blanks are single."""
    text = text.encode("utf-8", "replace").decode()
    return " ".join(
        "".join(c if unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp") else " " for c in text).split()
    )


def subject_of(header: Part) -> str:
    """The subject as people read it."""
    return words(header.get("Subject", ""))[:LONGEST_SUBJECT]


def bare_subject(subject: str) -> str:
    """Without "Re:", "AW:" and their kin before it."""
    while (found := REPLY.match(subject)) is not None:
        subject = subject[found.end() :]
    return subject.strip()


def ids(header: Part, name: str) -> list[str]:
    """The message ids in a field, in order; of too many the first and the last ones."""
    found: list[str] = []
    for value in header.get_all(name, [])[:3]:
        # What looks like an encoded word would be decoded when it is written.
        found += [one for one in MESSAGE_ID.findall(str(value)[:LONGEST_HEADER]) if "=?" not in one]
    return found if len(found) <= MOST_IDS else [*found[:1], *found[1 - MOST_IDS :]]


def _one_address(values: Sequence[object], *, first: bool = False) -> tuple[str, str]:
    """The only address of some fields with its name, or the first one; "" for none."""
    found = []
    for name, address in email.utils.getaddresses([_one_field(value) for value in values[:5]])[:MOST_ADDRESSES]:
        if ADDRESS.fullmatch(address) and address.isprintable() and "=?" not in address:
            found.append((address, words(name)[:LONGEST_NAME]))
    if not found or (len(found) > 1 and not first):
        return "", ""
    return found[0]


def _one_field(value: object) -> str:
    text = _raw_words(value) if isinstance(value, Header) else str(value)
    return " ".join(text[:10_000].split())


def _decode(data: bytes, charset: str) -> str:
    try:
        if charset.lower().replace("-", "_") in NOT_FOR_TEXT:
            raise LookupError
        return data.decode(charset, "replace")
    except (LookupError, ValueError, TypeError):
        return data.decode("utf-8", "replace")


class _Body:
    """Words and files of a mail, in the order in which they are read."""

    def __init__(self, message: Part | None) -> None:
        self.files: list[MessagePart] = []
        self._texts: list[str] = []
        self._left = MOST_PARTS
        if message is not None:
            self._read(message, 0)

    def text(self) -> str:
        """All texts."""
        return "\n".join(text for text in self._texts if text.strip())

    def add_text(self, text: str) -> None:
        """A text as it stands there."""
        self._texts.append(text.replace("\r\n", "\n").replace(html_text.CUT, ""))

    def _read(self, part: Part, depth: int) -> None:
        if self._left <= 0:
            return
        self._left -= 1
        kind = part.get_content_type()
        if depth > DEEPEST:
            self._keep(part, b"")
        elif kind == "message/rfc822" or (part.get_content_maintype() == "message" and part.is_multipart()):
            self._forwarded(part)
        elif not part.is_multipart():
            self._leaf(part, kind)
        elif kind == "multipart/alternative":
            self._alternative(list(_children(part)), depth)
        else:
            for child in _children(part):
                self._read(child, depth + 1)

    def _alternative(self, children: list[Part], depth: int) -> None:
        """The plain text if there is one and it says something, else the last that can be read, with its files."""
        plain = [child for child in children if child.get_content_type() == "text/plain" and not _is_file(child)]
        chosen = next((child for child in plain if _text(child).strip()), None)
        for child in children:
            if child is chosen:
                self._leaf(child, "text/plain")
            elif child.get_content_type().startswith("text/") and not _is_file(child):
                if chosen is None and child.get_content_type() == "text/html":
                    self._leaf(child, "text/html")
            elif child.is_multipart():
                # Another shape of the same words; its pictures and files count.
                before = len(self._texts)
                self._read(child, depth + 1)
                if chosen is not None:
                    del self._texts[before:]
            else:
                self._read(child, depth + 1)

    def _leaf(self, part: Part, kind: str) -> None:
        if kind in ("text/plain", "text/html") and not _is_file(part):
            text = _text(part)
            if kind == "text/html":
                self._texts.append(html_text.to_text(text))
            else:
                self.add_text(_unflowed(text, part) if _is_flowed(part) else text)
            return
        self._keep(part, _bytes(part))

    def _forwarded(self, part: Part) -> None:
        """A mail in the mail: a file, with its subject for a name."""
        inner = next(_children(part), None)
        if inner is None or part.get_content_type() != "message/rfc822":
            self._keep(part, _as_bytes(part))
            return
        name = safe_name(_name(part)) or safe_name(subject_of(inner)) or "forwarded"
        name = name if name.lower().endswith(".eml") else name + ".eml"
        self.files.append(MessagePart(binary=_as_bytes(inner), media_type="message/rfc822", filename=name))

    def _keep(self, part: Part, data: bytes) -> None:
        if data:
            self.files.append(
                MessagePart(binary=data, media_type=part.get_content_type(), filename=safe_name(_name(part)))
            )


def _children(part: Part) -> Iterator[Part]:
    payload = part.get_payload()
    if isinstance(payload, list):
        for child in payload:
            if isinstance(child, Part):
                yield child


def _is_file(part: Part) -> bool:
    return part.get_content_disposition() == "attachment" or bool(_name(part))


def _name(part: Part) -> str:
    try:
        return words(part.get_filename() or "")
    except FAULTS:
        return ""  # a broken RFC 2231 parameter


def _bytes(part: Part) -> bytes:
    try:
        data = part.get_payload(decode=True)
    except FAULTS:
        data = None
    if isinstance(data, bytes):
        return data
    payload = part.get_payload()
    return payload.encode("utf-8", "replace") if isinstance(payload, str) else b""


def _as_bytes(part: Part) -> bytes:
    try:
        return verbatim.mail(part)
    except FAULTS:
        # What follows is there if it is one text.
        return verbatim.fields(part) + b"\n" + _bytes(part)


def _text(part: Part) -> str:
    try:
        charset = part.get_content_charset() or "utf-8"
    except FAULTS:
        charset = "utf-8"
    return _decode(_bytes(part), charset)


def _is_flowed(part: Part) -> bool:
    return str(part.get_param("format", "") or "").lower() == "flowed"


def _unflowed(text: str, part: Part) -> str:
    """Paragraphs that were wrapped for sending (RFC 3676), as lines again."""
    joiner = "" if str(part.get_param("delsp", "") or "").lower() == "yes" else " "
    lines: list[str] = []
    flowing = False
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith(">") or line == "-- ":
            flowing = False
            lines.append(line)
            continue
        line = line.removeprefix(" ")
        soft = line.endswith(" ")
        kept = line[:-1] + joiner if soft else line
        if flowing:
            lines.append(lines.pop() + kept)
        else:
            lines.append(kept)
        flowing = soft
    return "\n".join(lines)


def safe_name(name: str) -> str:
    """A file name without directories and control characters, "" if nothing of it is left."""
    name = one_line(name).replace("\\", "/").rpartition("/")[2]
    name = re.sub(r'[<>:"|?*]', "_", name).strip(" .")
    if len(name) > LONGEST_NAME:
        stem, dot, ending = name.rpartition(".")
        ending = ending[:20] if dot else ""
        name = f"{(stem or name)[: LONGEST_NAME - len(ending) - 1]}{dot}{ending}"
    return name
