"""Keep secrets out of what is shown: every secret that was loaded is known here, and `clean` replaces it by ***."""

import base64
import json
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from urllib.parse import parse_qsl, unquote, urlsplit

STARS = "***"
# Shorter ones would hide ordinary words, and a secret that short is none.
SHORTEST = 6
# A secret of several lines (a private key) is hidden line by line; its first and last line are in every such key.
SHORTEST_LINE = 16
# Libraries that show a value cut out its middle if it is longer than this, and keep pieces at both ends.
LONG, PIECE = 40, 16

_SECRET_NAME = re.compile(
    r"(?:^|[^a-z])(?:password|passwd|passphrase|(?<=[a-z0-9].)pwd|secret|token|(?<!public.)key|apikey|credential)s?[\W\d_]*$"
)


def is_secret_name(name: str) -> bool:
    """Whether a key, a variable or a table called `name` holds a secret: `api_key` does, `api_key_file` does not."""
    # botToken is written bot_token here.
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return _SECRET_NAME.search(words.lower()) is not None


def named_secrets(value: object, name: str = "") -> Iterator[str]:
    """The texts that stand under a secret name in nested tables and lists, and those inside URLs anywhere."""
    waiting: list[tuple[object, bool]] = [(value, is_secret_name(name))]
    while waiting:
        value, secret = waiting.pop()
        if isinstance(value, Mapping):
            waiting.extend((inner, secret or is_secret_name(str(key))) for key, inner in value.items())
        elif isinstance(value, list | tuple | set):
            waiting.extend((inner, secret) for inner in value)
        elif isinstance(value, str):
            yield from [value] if secret else secrets_of_url(value)


def secrets_of_url(text: str) -> Iterator[str]:
    """The password in `scheme://user:password@host`, and what its query calls a secret."""
    if "://" not in text:
        return
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)
    yield from (value for name, value in parse_qsl(parts.query) if is_secret_name(name))


def spellings(secret: str) -> set[str]:
    """What `secret` may look like in a log: as it is, escaped, in base64; the lines or the ends of a long one."""
    found = {secret, *_escaped(secret)}
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        found |= {line for line in lines if len(line) >= SHORTEST_LINE and not line.startswith("-----")}
    elif len(secret) > LONG:
        found |= {secret[:PIECE], secret[-PIECE:]}
    return {text for text in found if len(text) >= SHORTEST}


def _escaped(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    yield repr(secret)[1:-1]
    yield repr(raw)[2:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    # Three times: what stands before it (a user's name and a colon) moves it against the groups of three bytes.
    for before in range(3):
        first = (8 * before + 5) // 6
        last = 8 * (before + len(raw)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(b"\0" * before + raw + b"\0\0").decode()[first:last]


def in_url(secret: str) -> str:
    """A pattern for `secret` as part of a URL: libraries do not agree on what must be quoted, nor on %2f or %2F."""
    pattern = ""
    for char in secret:
        quoted = "".join(f"%{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
        plus = r"|\+" if char == " " else ""
        pattern += char if char.isascii() and char.isalnum() else f"(?:{re.escape(char)}|(?i:{quoted}){plus})"
    return pattern


class Redaction:
    """Knows secrets, and takes them out of texts. Any thread may use it."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._texts: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def remember(self, secrets: Iterable[str]) -> None:
        """From now on `clean` knows these; texts shorter than six characters are passed over."""
        for secret in {text.strip() for text in secrets} - self._known:
            if len(secret) >= SHORTEST:
                self._known.add(secret)
                self._texts |= spellings(secret)
                self._pattern = None

    def clean(self, text: str) -> str:
        """`text` with every secret replaced by ***."""
        if not self._texts:
            return text
        pattern = self._pattern
        if pattern is None:
            # Longest first: of two that begin alike the whole one goes.
            known = sorted(set(self._known), key=len, reverse=True)
            texts = sorted(set(self._texts), key=len, reverse=True)
            pattern = self._pattern = re.compile("|".join([*map(in_url, known), *map(re.escape, texts)]))
        return pattern.sub(STARS, text)


_loaded = Redaction()
remember = _loaded.remember
clean = _loaded.clean
"""The secrets of this process: they are known from the moment they are read, whatever fails afterwards."""


def format_exception(exc: BaseException) -> str:
    """The traceback of `exc`, cleaned."""
    return clean("".join(traceback.format_exception(exc)))


def guard() -> None:
    """Clean the traceback with which the interpreter ends, too."""
    sys.excepthook = _show_last


def _show_last(kind: type[BaseException], exc: BaseException, trace: TracebackType | None) -> None:
    if sys.stderr is not None:
        print(format_exception(exc), end="", file=sys.stderr)  # noqa: T201 - as the interpreter would
