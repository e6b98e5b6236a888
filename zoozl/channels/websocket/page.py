"""The chat page: a few static files and the rules a browser keeps them by."""

from __future__ import annotations

from html import escape
from importlib import resources

FILES = {"chat.css": "text/css", "chat.js": "text/javascript", "icon.svg": "image/svg+xml"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def read(title: str, folder: str) -> tuple[bytes, dict[str, bytes]]:
    """The page and its files by name; `folder` is the URL path the files are served under, ending with a slash.

    The page names them relative to the last part of its own path, so that a proxy may put a prefix before it.
    """
    source = resources.files("zoozl") / "web"
    html = (source / "index.html").read_text("utf-8")
    html = html.replace("{{title}}", escape(title)).replace("{{files}}", folder)
    return html.encode(), {name: (source / name).read_bytes() for name in FILES}
