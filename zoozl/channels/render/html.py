"""Markdown to HTML that may stand in a page as it is: no raw HTML, no pictures from elsewhere, harmless links only."""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

# Characters. Rendering takes up to 25 ms for 1,000 of them when they are all markup; longer texts are shown as written.
LONGEST = 20_000
OUTSIDE = {"target": "_blank", "rel": "noopener noreferrer nofollow"}
LINK = re.compile(r"(?:https?://|mailto:)\S", re.IGNORECASE)


def to_html(text: str) -> str:
    """CommonMark, tables and ~~strikethrough~~ as HTML; a line break stays a line break.

    Raw HTML is shown as text. Links go to http, https and mailto only and open outside the page; pictures become links.
    A code block has its language as class `language-...`. A text over `LONGEST` is one paragraph, as it was written.
    """
    if len(text) > LONGEST:
        return f"<p>{escape(text, quote=False)}</p>\n".replace("\n", "<br>\n", text.count("\n"))
    return str(_MARKDOWN.render(text))


class _Renderer(RendererHTML):
    """Links leave the page, pictures are links, and a column's alignment is a class: pages forbid inline styles."""

    def link_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        attrs = tokens[idx].attrs
        env["in_link"] = bool(attrs["href"])
        if not attrs["href"]:
            # Its text: an address that is no link is not shown as one either.
            return "["
        attrs.update(OUTSIDE)
        return self.renderToken(tokens, idx, options, env)

    def link_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        if not env["in_link"]:
            return "]()"
        env["in_link"] = False
        return self.renderToken(tokens, idx, options, env)

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        token = tokens[idx]
        address = str(token.attrs["src"])
        words = escape(self.renderInlineAsText(token.children, options, env) or address)
        if not address:
            return f"![{words}]()"
        # A link in a link is none: [![words](picture)](address) is a link already.
        if env.get("in_link"):
            return words
        return f'<a href="{escape(address)}"{self.renderAttrs(Token("", "", 0, attrs=dict(OUTSIDE)))}>{words}</a>'

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: MutableMapping[str, Any]) -> str:
        attrs = tokens[idx].attrs
        if style := str(attrs.pop("style", "")):
            attrs["class"] = style.removeprefix("text-align:")
        return self.renderToken(tokens, idx, options, env)

    td_open = th_open


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    markdown.enable(["table", "strikethrough"])
    markdown.validateLink = lambda url: LINK.match(url) is not None  # type: ignore[method-assign]
    return markdown


_MARKDOWN = _markdown()
