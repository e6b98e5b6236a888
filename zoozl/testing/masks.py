"""Personal things and secrets in texts, replaced by stand-ins: the same one for the same thing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from zoozl.redaction import clean

NAMES = ("anna", "bert", "carl", "dora", "emil", "frida", "gustav", "hanna", "ivan", "judith", "karl", "lena")
MASKED = "●●●"
SHORTEST_NAME = 3

# The first that fits wins: dates and times are no numbers to hide, an e-mail address is no token.
_PATTERN = re.compile(
    r"""
    (?P<keep>(?<!\w)(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4})(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?(?!\w))
    | (?P<email>[\w.+-]+@[\w-]+(?:\.[\w-]+)+)
    | (?P<secret>●{3}|\*{3})
    | (?P<token>\b(?:eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?|(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[a-z]|xapp|AKIA)[-_]?[\w-]{10,}))
    | (?P<key>(?<![\w/+-])(?=[\w/+-]*\d)(?=[\w/+-]*[A-Za-z])[\w/+-]{20,}=*)
    | (?P<iban>\b[A-Z]{2}\d{2}(?:\ ?[A-Z0-9]{4}){3,7}(?:\ ?[A-Z0-9]{1,3})?\b)
    | (?P<phone>(?<!\w)(?:\+|00|\()[\d(][\d\ ()/.-]{5,}\d|(?<!\w)0\d{1,4}[\ /-]\d[\d\ /-]{3,}\d)
    | (?P<number>(?<!\w)\d(?:[\ -]?\d){5,}(?!\w))
    """,
    re.VERBOSE,
)

KINDS = {
    "name": ("name", "names"),
    "email": ("e-mail address", "e-mail addresses"),
    "secret": ("secret", "secrets"),
    "token": ("token", "tokens"),
    "iban": ("bank account", "bank accounts"),
    "phone": ("phone number", "phone numbers"),
    "number": ("long number", "long numbers"),
}


class Masks:
    """Replaces what should not be in a file that is passed around, as far as it can be told by its form."""

    def __init__(self) -> None:
        self.talkers: dict[str, str] = {}
        """The stand-in of each talker, by the real name."""
        self._names: dict[str, str] = {}
        self._standins: dict[tuple[str, str], str] = {}
        self._told: set[str] = set()
        self._names_pattern: re.Pattern[str] | None = None
        self.counts: Counter[str] = Counter()

    def talker(self, real: str, author: str = "") -> str:
        """The stand-in of a talker; `author` is what people call him, and is found in texts from now on."""
        n = len(self.talkers)
        name = self.talkers.setdefault(real, NAMES[n] if n < len(NAMES) else f"talker{n + 1}")
        for text in {real, author, *author.split()}:
            if len(text) >= SHORTEST_NAME and text not in self._names:
                self._names[text] = name.capitalize()
                self._names_pattern = None
        return name

    def said(self, text: str) -> str:
        """What a talker said, with stand-ins."""
        return self._replace(text, told=True)[0]

    def answered(self, text: str) -> tuple[str, bool]:
        """What the bot said; and whether it is a regular expression, because only the bot knew what is hidden."""
        masked, holes = self._replace(text, told=False)
        if not holes:
            return masked, False
        lines = [line.strip() for line in masked.splitlines() if line.strip()]
        return "\n".join(re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", line).replace("\0", ".+") for line in lines), True

    def _replace(self, text: str, *, told: bool) -> tuple[str, bool]:
        text = clean(text.replace("\0", ""))
        holes = False

        def standin(found: re.Match[str]) -> str:
            nonlocal holes
            kind, value = found.lastgroup or "keep", found[0]
            if kind == "keep":
                return value
            kind = "token" if kind == "key" else kind
            self.counts[kind] += 1
            made = self._standin(kind, value)
            if told:
                self._told.add(made)
            elif made not in self._told or kind == "secret":
                holes = True
                return "\0"
            return made

        def name(found: re.Match[str]) -> str:
            nonlocal holes
            self.counts["name"] += 1
            # What the bot calls a talker is the platform's name; here he has none but the stand-in.
            holes = holes or not told
            return self._names[found[0]] if told else "\0"

        text = _PATTERN.sub(standin, text)
        if self._names:
            if self._names_pattern is None:
                self._names_pattern = _any_of(self._names)
            text = self._names_pattern.sub(name, text)
        return text, holes

    def _standin(self, kind: str, value: str) -> str:
        known = self._standins.get((kind, value))
        if known is not None:
            return known
        n = 1 + sum(other == kind for other, _ in self._standins)
        if kind == "secret":
            made = MASKED
        elif kind == "email":
            made = f"mail{n}@example.org"
        elif kind in ("phone", "number"):
            made = _digits(value, n)
        else:
            made = f"{kind.upper()}{n}"
        self._standins[kind, value] = made
        return made

    def summary(self) -> str:
        """How much was masked, in words."""
        parts = [f"{count} {KINDS[kind][count != 1]}" for kind, count in sorted(self.counts.items())]
        return ", ".join(parts) or "nothing"


def _any_of(names: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _digits(value: str, n: int) -> str:
    """`value` in its form, with zeros for its digits and `n` at the end; a number still begins with another digit."""
    places = [i for i, char in enumerate(value) if char.isdigit()]
    digits = str(n).rjust(len(places), "0")[-len(places) :]
    if value[places[0]] != "0" and not value.startswith("+"):
        digits = "1" + digits[1:]
    made = list(value)
    for place, digit in zip(places, digits, strict=True):
        made[place] = digit
    return "".join(made)
