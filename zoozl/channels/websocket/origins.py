"""Which pages may connect: browsers say where a page comes from, and let any page connect anywhere."""

from __future__ import annotations

import re
from collections.abc import Collection

ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
PORTS = {"http": "80", "https": "443"}


def normalized(origin: str) -> str | None:
    """`origin` in one spelling, with its port; None for what is no origin of a web page."""
    found = ORIGIN.fullmatch(origin)
    if found is None:
        return None
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    return f"{scheme}://{host}:{port or PORTS[scheme]}"


def allowed(origin: str | None, host: str | None, others: Collection[str]) -> bool:
    """Whether a page from `origin` may connect to `host` (the Host header); `others` are normalized, or "*".

    No origin at all means that it is no browser.
    """
    if origin is None or "*" in others:
        return True
    wanted = normalized(origin)
    if wanted is None:
        return False
    # A proxy in front may end TLS: the scheme of the page says which port a Host without one means.
    scheme = wanted.partition(":")[0]
    return wanted in others or (host is not None and wanted == normalized(f"{scheme}://{host}"))
