"""What the author of a mail has newly written: without what is quoted below, signature, salutation and closing.

Line by line, so that no text takes longer than its length. Only what a person would call beyond doubt is taken off;
an author who answers between the lines of a quotation keeps all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from zoozl.channels.email.html_text import CUT
from zoozl.channels.email.phrases import (
    CLOSING,
    DELIMITER,
    FORWARD,
    HEADER,
    MOBILE,
    OPENING,
    RULE,
    SALUTATION,
    SEPARATOR,
    WROTE,
)

# Lines that one attribution ("On Monday ... wrote:") may be wrapped over, and its longest text.
WRAPPED = 3
LONGEST = 400

# Lines and characters of what may stand below a closing: a name, a title, a number.
BELOW_CLOSING = 6
NARROW = 70


def new_text(text: str) -> str:
    """The part of a mail's text that its author has written for it, all of it if that cannot be told.

    `text` may have `CUT` lines, as `html_text.to_text` makes them.
    """
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    whole = _join(line for line in lines if line != CUT)
    cut, kind = _first_cut(lines)
    if cut is None:
        return _plain(lines) or whole
    above, below = lines[:cut], [line for line in lines[cut:] if line != CUT]
    if not _has_words(above):
        # Nothing before it: a forwarded mail, or an answer below what is quoted.
        return (_below_one_quotation(below) if kind == "quote" else "") or whole
    if kind == "quote" and _answers_inline(below):
        return whole
    return _plain(above) or whole


def without_marks(text: str) -> str:
    """The same text, all of it, without `CUT` lines."""
    return _join(line for line in text.split("\n") if line != CUT)


def _join(lines: Iterable[str]) -> str:
    return "\n".join(lines).strip()


def _has_words(lines: Sequence[str]) -> bool:
    return any(line.strip() for line in lines)


def _quoted(line: str) -> bool:
    return line.lstrip().startswith((">", "|>"))


def _first_cut(lines: Sequence[str]) -> tuple[int | None, str]:
    """The line that what is quoted begins with, and whether its lines are marked ("quote") or not ("block")."""
    for n, line in enumerate(lines):
        stripped = line.strip()
        if not stripped:
            continue
        if stripped == CUT:
            return n, "quote" if any(_quoted(later) for later in lines[n : n + 30]) else "block"
        if _quoted(line):
            if not _has_words(lines[:n]):
                return n, "quote"
            continue
        if SEPARATOR.fullmatch(stripped) or FORWARD.fullmatch(stripped) or RULE.fullmatch(stripped):
            return n, "block"
        if (start := _attribution(lines, n)) is not None:
            return start, "quote"
        if stripped.endswith(":") and "@" in stripped and _names_somebody(stripped) and _quotation_follows(lines, n):
            # "Mon, 3 Nov 2025, Anna <anna@...>:", without a verb.
            return n, "quote"
        if HEADER.match(line) and _is_header_block(lines, n):
            return n, "block"
    first = next((n for n, line in enumerate(lines) if _quoted(line)), None)
    return (first, "quote") if first is not None else (None, "")


def _attribution(lines: Sequence[str], n: int) -> int | None:
    """The first line of "On ..., X wrote:" if it ends in line `n`."""
    last = lines[n].strip()
    if len(last) > LONGEST or not WROTE.search(last):
        return None
    start, text = n, last
    for above in range(n - 1, max(n - WRAPPED, -1), -1):
        line = lines[above].strip()
        if OPENING.match(text) or not line or _quoted(line) or len(line) > LONGEST:
            break
        if OPENING.match(line) or not _names_somebody(text):
            start, text = above, f"{line} {text}"
    if _names_somebody(text):
        return start
    # "Anna wrote:" alone is one only if a quotation follows.
    return n if _quotation_follows(lines, n) else None


def _quotation_follows(lines: Sequence[str], n: int) -> bool:
    return _quoted(next((line for line in lines[n + 1 : n + 5] if line.strip()), ""))


def _names_somebody(text: str) -> bool:
    """Whether a text has an address, or a date and a time."""
    return "@" in text or len(re.findall(r"\d+", text)) >= 2


def _is_header_block(lines: Sequence[str], n: int) -> bool:
    near = [line for line in lines[n : n + 8] if line.strip()]
    found = {match[1].casefold() for line in near if (match := HEADER.match(line))}
    return len(found) >= 3


def _answers_inline(below: Sequence[str]) -> bool:
    """Whether there are words of the author's own below the first quoted line."""
    first = next((n for n, line in enumerate(below) if _quoted(line)), None)
    if first is None:
        return False
    tail = list(below[first:])
    # The signature of a mail that is quoted without marks is no answer.
    for n, line in enumerate(tail):
        if DELIMITER.fullmatch(line.strip()) and line.strip():
            tail = tail[:n]
            break
    own = [line for line in tail if line.strip() and not _quoted(line) and not MOBILE.fullmatch(line.strip())]
    return bool(own)


def _below_one_quotation(below: Sequence[str]) -> str:
    """What stands below a quotation, if there is but one."""
    quoted = [n for n, line in enumerate(below) if _quoted(line)]
    if not quoted:
        return ""
    first, last = quoted[0], quoted[-1]
    within = [line for line in below[first : last + 1] if line.strip() and not _quoted(line)]
    return "" if within else _plain(below[last + 1 :])


def _plain(lines: Sequence[str]) -> str:
    """Without quoted lines at the end, signature, closing and salutation."""
    kept = list(lines)
    for n, line in enumerate(kept):
        if n and line.strip() and DELIMITER.fullmatch(line.strip()) and _has_words(kept[:n]):
            kept = kept[:n]
            break
    while kept and (not kept[-1].strip() or _quoted(kept[-1]) or MOBILE.fullmatch(kept[-1].strip())):
        kept.pop()
    kept = _without_closing(kept)
    begin = next((n for n, line in enumerate(kept) if line.strip()), 0)
    if kept and SALUTATION.fullmatch(kept[begin].strip()) and _has_words(kept[begin + 1 :]):
        kept = kept[begin + 1 :]
    return _join(kept)


def _without_closing(lines: list[str]) -> list[str]:
    for n in range(max(len(lines) - BELOW_CLOSING, 1), len(lines)):
        below = [line.strip() for line in lines[n + 1 :]]
        if CLOSING.fullmatch(lines[n].strip()) and all(len(line) <= NARROW for line in below) and _has_words(lines[:n]):
            # "Thanks" at the very end, without a name, may be all the closing there is.
            return lines[:n]
    return lines
