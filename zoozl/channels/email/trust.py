"""Whether the author of a mail is who it says, by the word of the own mail server (RFC 8601) and of nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.message import Message as Part

LONGEST = 10_000
COMMENT = re.compile(r"\([^()]*\)")
TOKEN = re.compile(r"\s*([\w-]+(?:/\d+)?)\s*=\s*([\w-]+)", re.ASCII)
PROPERTY = re.compile(r'([\w-]+\.[\w-]+)\s*=\s*("[^"]*"|[^\s;"]+)', re.ASCII)


def verdict(header: Part, author: str, authserv_id: str) -> str:
    """How the address in From was proved: "dmarc", "dkim", "spf", or "" if it was not.

    Only the topmost Authentication-Results counts, and only if it is by `authserv_id`. SPF and DKIM count for the very
    domain of `author`: which other domains belong to it only DMARC knows.
    """
    fields = header.get_all("Authentication-Results", [])
    domain = author.rpartition("@")[2].casefold()
    if not fields or not domain or len(header.get_all("From", [])) != 1:
        return ""
    server, results = _read(str(fields[0])[:LONGEST])
    if server != authserv_id.casefold():
        return ""
    proved = {method for method, found, properties in results if found == "pass" and _for(method, properties, domain)}
    return next((method for method in ("dmarc", "dkim", "spf") if method in proved), "")


def _for(method: str, properties: dict[str, str], domain: str) -> bool:
    """Whether a result is about the domain of From."""
    if method == "dmarc":
        return properties.get("header.from", domain) == domain
    if method == "dkim":
        about = properties.get("header.d") or properties.get("header.i", "")
    elif method == "spf":
        about = properties.get("smtp.mailfrom") or ""
    else:
        return False
    return about.rpartition("@")[2] == domain


def _read(field: str) -> tuple[str, list[tuple[str, str, dict[str, str]]]]:
    """(the server's id, its results); a result is method, result, and what it is about."""
    for _ in range(5):
        # Comments may be nested, and may hold what looks like a result.
        field = COMMENT.sub(" ", field)
    if "(" in field or ")" in field:
        return "", []
    server, *rest = _split(field)
    found = []
    for statement in rest:
        head = TOKEN.match(statement)
        if head is not None:
            properties = {n.casefold(): v.strip('"').casefold() for n, v in PROPERTY.findall(statement[head.end() :])}
            found.append((head[1].partition("/")[0].casefold(), head[2].casefold(), properties))
    # A version may follow the id.
    words = server.split()
    return (words[0].casefold() if words else ""), found


def _split(field: str) -> Iterator[str]:
    """At each ";" that is not within quotes."""
    start = 0
    quoted = False
    for n, character in enumerate(field):
        if character == '"':
            quoted = not quoted
        elif character == ";" and not quoted:
            yield field[start:n]
            start = n + 1
    yield field[start:]
