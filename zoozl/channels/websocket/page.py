"""The chat page: a few static files, what `[websocket]` says about them, and the rules a browser keeps them by."""

from __future__ import annotations

import re
from html import escape
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from zoozl.channels.websocket import colours
from zoozl.settings import ChannelOptions, Switch

FILES = {
    "chat.css": "text/css",
    "chat.js": "text/javascript",
    "composer.js": "text/javascript",
    "connection.js": "text/javascript",
    "conversation.js": "text/javascript",
    "embed.js": "text/javascript",
    "files.js": "text/javascript",
    "list.js": "text/javascript",
    "markup.js": "text/javascript",
    "memory.js": "text/javascript",
    "parent.js": "text/javascript",
    "questions.js": "text/javascript",
    "row.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
# Loaded by other sites, not by the page.
FOR_OTHERS = {"embed.js"}

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
)


def _colour(value: str) -> str:
    try:
        colours.parse(value)
    except ValueError:
        raise PydanticCustomError("colour", "must be a colour like #2563eb") from None
    return value


def _light(value: str) -> str:
    if colours.contrast(colours.parse(value), colours.LIGHT_FAINT) < colours.READABLE:
        raise PydanticCustomError("colour", "is too dark for the dark text on it; background_dark is for dark screens")
    return value


def _dark(value: str) -> str:
    if colours.contrast(colours.parse(value), colours.DARK_FAINT) < colours.READABLE:
        raise PydanticCustomError("colour", "is too light for the light text on it; background is for light screens")
    return value


def _origin(value: str) -> str:
    if not re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?", value, re.ASCII):
        raise PydanticCustomError(
            "origin", "must be an origin like https://www.example.com, in small letters and without a path"
        )
    return value


Colour = Annotated[str, AfterValidator(_colour)]


class PageOptions(ChannelOptions):
    """What `[websocket]` says about the chat page."""

    page: Switch = Field(True, description="Whether browsers get a chat page there.")
    title: str = Field("zoozl", description="Title of the page.")
    greeting: str = Field("", description="Text in a conversation that is still empty; the bot does not say it.")
    accent: Colour = Field("#2563eb", description="Colour of buttons and of the talker's words, like #2563eb.")
    background: Annotated[Colour, AfterValidator(_light)] | None = Field(
        None, description="Colour behind the conversation on light screens."
    )
    background_dark: Annotated[Colour, AfterValidator(_dark)] | None = Field(
        None, description="Colour behind the conversation on dark screens."
    )
    embed_origins: list[Annotated[str, AfterValidator(_origin)]] = Field(
        [], description="Sites that may show the page within theirs, like https://www.example.com."
    )


def headers(options: PageOptions) -> dict[str, str]:
    """The headers of the page itself; its files have HEADERS."""
    ancestors = " ".join(["'self'", *options.embed_origins]) if options.embed_origins else "'none'"
    return {**HEADERS, "Content-Security-Policy": POLICY + ancestors}


def read(options: PageOptions, folder: str, max_frame_bytes: int) -> tuple[bytes, dict[str, bytes]]:
    """The page and its files by name; `folder` is the URL path the files are served under, ending with a slash.

    The page names them relative to the last part of its own path, so that a proxy may put a prefix before it.
    `max_frame_bytes` is the longest frame the server reads: the page refuses files that would not fit.
    """
    source = resources.files("zoozl") / "web"
    files = {name: (source / name).read_bytes() for name in FILES}
    files["chat.css"] += colours.theme(options.accent, options.background, options.background_dark).encode()
    last = folder.removesuffix("page/")
    embed = {
        "page": f"../../{last[:-1]}" if last else "../",
        "accent": options.accent,
        "ink": "#fff" if colours.ink_on(colours.parse(options.accent)) == colours.WHITE else "#000",
    }
    files["embed.js"] = _filled(files["embed.js"].decode(), embed)
    folder = escape(folder)
    modules = [name for name in FILES if name.endswith(".js") and name not in FOR_OTHERS]
    values = {
        "title": escape(options.title),
        "greeting": escape(options.greeting),
        "files": folder,
        "limit": str(max_frame_bytes),
        "origins": escape(" ".join(options.embed_origins)),
        # All at once: the browser would find each module only after it has read the one that imports it.
        "modules": "\n".join(f'<link rel="modulepreload" href="{folder}{name}">' for name in modules),
    }
    return _filled((source / "index.html").read_text("utf-8"), values), files


def _filled(template: str, values: dict[str, str]) -> bytes:
    # In one pass: what somebody wrote into a title is not looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], template).encode()
