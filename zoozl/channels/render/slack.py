"""Markdown to Slack's mrkdwn. Mentions, links and escapes that the text only pretends to have stay text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from unicodedata import east_asian_width

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from zoozl.channels.render.split import split

# Characters that are rendered at once: what is all markup takes 25 ms for 1,000 of them. As many as a message may have:
# with fewer, a plain text that has room in one message would come in two.
PIECE = 4_000
LINK = re.compile(r"(?:https?://|mailto:)[^\s|>]", re.IGNORECASE)
# What must not be cut: links and escapes.
WHOLE = re.compile(r"<[^<>\n]*>|&(?:amp|lt|gt);")
# Slack takes * _ ~ for markup only at the edge of a word; a blank without width makes one.
EDGE = "\u200b"
BULLETS = "•◦▪"
RULE = "———"
# Looks like the backtick, which has no place in inline code.
GRAVE = "\u02cb"


def escape(text: str) -> str:
    """`text` without any meaning to Slack: no mention, no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def parts(text: str, limit: int) -> list[str]:
    """CommonMark as mrkdwn in parts of at most `limit` characters, in order; none of a text of blanks."""
    pieces = (to_mrkdwn(piece) for piece in split(text, PIECE))
    return [part for piece in pieces for part in split(piece, limit, whole=WHOLE)]


def to_mrkdwn(text: str) -> str:
    """CommonMark, tables and ~~strikethrough~~ as mrkdwn.

    Headings are bold, tables are code, pictures are links; links go to http, https and mailto only.
    """
    tree = SyntaxTreeNode(_markdown().parse(text))
    return _blocks(tree.children, 0).strip("\n")


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    markdown.validateLink = lambda url: LINK.match(url) is not None  # type: ignore[method-assign]
    return markdown


def _blocks(nodes: Sequence[SyntaxTreeNode], depth: int, between: str = "\n\n") -> str:
    return between.join(filter(None, (_block(node, depth) for node in nodes)))


def _block(node: SyntaxTreeNode, depth: int) -> str:
    kind = node.type
    if kind in ("paragraph", "heading"):
        text = _inline(node.children)
        return _around(text.replace("*", ""), "*") if kind == "heading" else text
    if kind in ("fence", "code_block"):
        return _code(node.content)
    if kind == "blockquote":
        return "\n".join(f"> {line}" for line in _blocks(node.children, depth).split("\n"))
    if kind in ("bullet_list", "ordered_list"):
        return _list(node, depth)
    if kind == "table":
        return _code(_table(node))
    if kind == "hr":
        return RULE
    return _inline(node.children) if node.type == "inline" else escape(node.content if node.token else "")


def _list(node: SyntaxTreeNode, depth: int) -> str:
    lines = []
    number = int(node.attrs.get("start", 1))
    for item in node.children:
        mark = BULLETS[min(depth, len(BULLETS) - 1)] if node.type == "bullet_list" else f"{number}."
        number += 1
        first, *more = _blocks(item.children, depth + 1, "\n").split("\n")
        lines.append(f"{mark} {first}")
        lines += [f"    {line}" for line in more]
    return "\n".join(lines)


def _code(text: str) -> str:
    # Three backticks within would end it.
    inside = escape(text).rstrip("\n").replace("```", f"``{EDGE}`")
    return f"```\n{inside}\n```"


def _table(node: SyntaxTreeNode) -> str:
    rows = [
        [" ".join(_plain(cell.children).split()) for cell in row.children]
        for section in node.children
        for row in section.children
    ]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        " | ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])


def _width(text: str) -> int:
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def _plain(nodes: Sequence[SyntaxTreeNode]) -> str:
    """The words without any markup, not escaped."""
    words = []
    for node in nodes:
        if node.type in ("softbreak", "hardbreak"):
            words.append(" ")
        elif node.children:
            words.append(_plain(node.children))
        else:
            words.append(node.content)
    return "".join(words)


def _inline(nodes: Sequence[SyntaxTreeNode]) -> str:
    text = ""
    for node in nodes:
        piece = _INLINE[node.type](node) if node.type in _INLINE else escape(node.content)
        if text and piece and _touch(text[-1], piece[0]):
            text += EDGE
        text += piece
    return text


def _touch(before: str, after: str) -> bool:
    """Whether markup would begin or end within a word."""
    return (before.isalnum() and after in "*_~`") or (before in "*_~`" and after.isalnum())


def _around(text: str, mark: str) -> str:
    """`text` between two marks, line by line: no markup of Slack's goes over the end of a line."""
    return "\n".join(f"{mark}{line}{mark}" if line.strip() else line for line in text.split("\n"))


def _link(node: SyntaxTreeNode) -> str:
    url = escape(str(node.attrs.get("href") or node.attrs.get("src") or "")).replace("|", "%7C")
    label = escape(" ".join(_plain(node.children).split()))
    if not url:
        # Its text: an address that is no link is not shown as one either.
        return f"![{label}]()" if node.type == "image" else f"[{_inline(node.children)}]()"
    return f"<{url}|{label}>" if label and label != url else f"<{url}>"


def _inside_code(node: SyntaxTreeNode) -> str:
    return "`" + escape(node.content).replace("`", GRAVE) + "`"


_INLINE: dict[str, Callable[[SyntaxTreeNode], str]] = {
    "inline": lambda node: _inline(node.children),
    "text": lambda node: escape(node.content),
    "softbreak": lambda _: "\n",
    "hardbreak": lambda _: "\n",
    "strong": lambda node: _around(_inline(node.children), "*"),
    "em": lambda node: _around(_inline(node.children), "_"),
    "s": lambda node: _around(_inline(node.children), "~"),
    "code_inline": _inside_code,
    "link": _link,
    "image": _link,
}
