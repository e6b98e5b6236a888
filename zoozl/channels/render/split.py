"""Long texts in parts that a platform takes, cut where it hurts least, with every code fence closed in its part."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
# Below that there would be no room for a fence and something in it.
LEAST_LIMIT = 32
# What is said after a fence's marker is repeated in the next part if it is no longer than that.
LONGEST_INFO = 20
# A marker that is longer is left as it is: nobody writes one, and it would have to be repeated.
LONGEST_MARKER = 8
# Characters that are looked at beyond a cut, for something that must stay whole.
LONGEST_WHOLE = 4_000
# Steps back from a cut that would separate a letter from its accents.
MOST_ACCENTS = 32
JOINER = "\u200d"


def utf8(text: str) -> int:
    """Length in bytes."""
    return len(text.encode("utf-8", "surrogatepass"))


def utf16(text: str) -> int:
    """Length in UTF-16 units, as JavaScript and Telegram count."""
    return len(text) + sum(char > "\uffff" for char in text)


def split(text: str, limit: int, size: Callable[[str], int] = len, whole: re.Pattern[str] | None = None) -> list[str]:
    """The parts of `text`, in order, each of `size` at most `limit`; none of a text of blanks.

    Cut at a blank line, else at the end of a line, else at a blank, else between two characters; not in what `whole`
    matches if that has room in a part. A code fence that is cut is closed, and opened again in the next part.
    `size` must count at least 1 for each character (len, utf8, utf16). Raises ValueError for a limit under 32.
    """
    if limit < LEAST_LIMIT:
        raise ValueError(f"limit must be {LEAST_LIMIT} or more, not {limit}")
    if len(text) <= limit and size(text) <= limit:
        return [text] if text.strip() else []
    parts: list[str] = []
    again = ""
    """The line that opens the fence which the last part had to close."""
    rest = text
    while rest:
        start = f"{again}\n" if again else ""
        end = _fitting(rest, limit - size(start), size)
        if end == len(rest) and not (again and _open(start + rest)):
            parts.append(start + rest)
            break
        fence = _open(start + rest[:end])
        if fence or FENCE.search(rest, 0, end):
            # Room to close it again.
            end = _fitting(rest, limit - size(start) - LONGEST_MARKER - 1, size)
        end = _cut(rest, end, whole) if end < len(rest) else end
        part = start + rest[:end]
        fence = _open(part)
        rest = _after(rest, end, bool(fence))
        again = _shortened(fence)
        parts.append(_closed(part, fence))
    return [part for part in parts if part.strip()]


def _fitting(text: str, budget: int, size: Callable[[str], int]) -> int:
    """How many of the first characters of `text` have room in `budget`; at least one."""
    low, high = 1, min(len(text), budget)
    if high >= 1 and size(text[:high]) <= budget:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if size(text[:middle]) <= budget:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, end: int, whole: re.Pattern[str] | None) -> int:
    """Where to cut `text` at `end` or before it; at least 1."""
    # A part should not be much shorter than it could be for the sake of a nicer cut.
    for mark, least in (("\n\n", end // 3), ("\n", end // 4), (" ", end // 8)):
        at = text.rfind(mark, least, end + len(mark) - 1)
        if at > 0 and (found := _outside(text, at, whole)) > 0:
            return found
    at = end
    for _ in range(MOST_ACCENTS):
        if at <= 1 or not _joined(text[at - 1], text[at]):
            break
        at -= 1
    else:
        at = end
    return _outside(text, at, whole) or at or 1


def _outside(text: str, at: int, whole: re.Pattern[str] | None) -> int:
    """The same place, or the beginning of what must stay whole around it."""
    if whole is not None:
        for found in whole.finditer(text, 0, at + LONGEST_WHOLE):
            if found.start() >= at:
                break
            if at < found.end():
                return found.start()
    return at


def _joined(before: str, after: str) -> bool:
    """Whether two characters are one to a reader."""
    return (
        before == JOINER
        or after == JOINER
        or unicodedata.category(after) in ("Mn", "Me", "Mc")
        or "\U0001f3fb" <= after <= "\U0001f3ff"
    )


def _after(text: str, end: int, in_fence: bool) -> str:
    """What follows a cut, without the line end or the blank that was cut at."""
    if in_fence:
        return text[end + 1 :] if text[end : end + 1] == "\n" else text[end:]
    rest = text[end:]
    return rest.lstrip("\n") if rest.startswith("\n") else rest.removeprefix(" ")


def _open(text: str) -> str:
    """The line that opened the code fence which is open at the end of `text`; "" if none is."""
    opened, marker = "", ""
    for line in text.split("\n"):
        if "```" not in line and "~~~" not in line:
            continue
        found = FENCE.fullmatch(line)
        if found is None or len(found[1]) > LONGEST_MARKER:
            continue
        if not opened:
            # CommonMark: what is said after backticks has none.
            if found[1][0] == "~" or "`" not in found[2]:
                opened, marker = line, found[1]
        elif found[1].startswith(marker) and not found[2].strip():
            opened = ""
    return opened


def _marker(opening: str) -> str:
    found = FENCE.fullmatch(opening)
    return found[1] if found is not None else ""


def _shortened(opening: str) -> str:
    """The line to open it with again."""
    marker = _marker(opening)
    info = opening.strip()[len(marker) :].strip()
    return marker + info if len(marker) + utf8(info) <= LONGEST_INFO else marker


def _closed(part: str, opening: str) -> str:
    if not opening:
        return part.rstrip("\n")
    end = "" if part.endswith("\n") else "\n"
    return f"{part}{end}{_marker(opening)}"
