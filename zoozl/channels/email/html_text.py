"""HTML of a mail as plain text, in time that grows with its length only.

No library does that: the standard library's parser and those on top of it take half a minute for 100 kB of `<a a=b`,
and one written in C takes as long for a megabyte of `<div>`. Mail needs no tree, only its tags in order.
"""

from __future__ import annotations

import html
import re

# Stands in the text where what is quoted begins, alone in its line.
CUT = "\x00"
# Characters. What is longer is cut there; the mail itself stays as it was.
LONGEST = 1_000_000
LONGEST_TAG = 4_000
DEEPEST = 20
MOST_LOOKS = 50

LINES = frozenset(
    [
        "address",
        "article",
        "aside",
        "center",
        "div",
        "dl",
        "dd",
        "dt",
        "fieldset",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "pre",
        "section",
        "table",
        "tbody",
        "thead",
        "tr",
        "ul",
        "blockquote",
        "p",
        "body",
    ]
)
PARAGRAPHS = frozenset(["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre", "hr"])
SKIPPED = frozenset(["script", "style", "head", "title", "template", "noscript", "object", "svg", "math", "xml"])
NAME = re.compile(r"/?[a-zA-Z][a-zA-Z0-9:]*")
ATTRIBUTE = re.compile(r"""([a-zA-Z-]{1,40})\s{0,20}=\s{0,20}(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
BLANKS = re.compile(r"[ \t\r\n\f]+")
QUOTED_CLASSES = frozenset(
    {"gmail_quote", "gmail_quote_container", "yahoo_quoted", "protonmail_quote", "moz-cite-prefix"}
)
QUOTED_IDS = frozenset(
    {"divrplyfwdmsg", "appendonsend", "olk_src_body_section", "mail-editor-reference-message-container"}
)


def to_text(source: str) -> str:
    """The words of an HTML document, a line for each block, links with their targets.

    What a mail program has marked as quoted begins with `CUT`, quotations have "> " before each line. Nothing is
    fetched.
    """
    writer = _Writer()
    source = source[:LONGEST].replace(CUT, "")
    end, position = len(source), 0
    # When there is no more of one of these, nobody looks for it again.
    last = {mark: source.rfind(mark) for mark in (">", "-->", "]]>")}
    while position < end:
        start = source.find("<", position)
        if start < 0:
            start = end
        if start > position:
            writer.words(source[position:start])
        if start == end:
            break
        position = _after_tag(source, start, last, writer)
    return writer.finish()


def _after_tag(source: str, start: int, last: dict[str, int], writer: _Writer) -> int:
    """Deal with what begins at a "<"; where to go on."""
    for opening, closing in (("<!--", "-->"), ("<![CDATA[", "]]>")):
        if source.startswith(opening, start) and last[closing] > start:
            return source.index(closing, start) + len(closing)
    if last[">"] <= start:
        writer.words(source[start:])
        return len(source)
    stop = source.index(">", start)
    # A ">" within a quoted attribute is no end.
    open_quotes = source.count('"', start, stop)
    while open_quotes % 2 and last[">"] > stop and stop - start < LONGEST_TAG:
        earlier, stop = stop, source.index(">", stop + 1)
        open_quotes += source.count('"', earlier, stop)
    name = NAME.match(source, start + 1)
    if name is None:
        if source[start + 1 : start + 2] in ("!", "?", "/"):
            return stop + 1
        writer.words("<")
        return start + 1
    tag = name[0].lower()
    attributes: dict[str, str] = {}
    if stop - name.end() <= LONGEST_TAG and tag in ("a", "img", "div", "span", "blockquote", "p"):
        for found in ATTRIBUTE.finditer(source, name.end(), stop):
            attributes[found[1].lower()] = html.unescape(found[2] or found[3] or found[4] or "")
    if tag.startswith("/"):
        writer.close(tag[1:])
    else:
        writer.open(tag, attributes)
    if tag in ("script", "style"):
        # Raw text: what looks like a tag in there is none.
        ends = source.lower().find("</" + tag, stop) if writer.raw_ends(source, tag) else -1
        return ends if ends >= 0 else stop + 1
    return stop + 1


class _Writer:
    """Takes tags and words, and keeps lines."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._line: list[str] = []
        self._blank = True
        self._space = False
        self._skipping: str = ""
        self._pre = 0
        self._quotes = 0
        self._links: list[tuple[str, int]] = []
        self._lowered = ""
        self._ends: dict[str, int] = {}
        self._looks = 0

    def raw_ends(self, source: str, tag: str) -> bool:
        """Whether there is an end of `tag` at all from here on; looked up once."""
        if tag not in self._ends:
            self._ends[tag] = source.lower().rfind("</" + tag)
        # Each look copies the document: a mail has few styles, and a hostile one must not have many.
        self._looks += 1
        return self._ends[tag] >= 0 and self._looks <= MOST_LOOKS

    def words(self, text: str) -> None:
        """Text between tags."""
        if self._skipping:
            return
        text = html.unescape(text).replace(CUT, "")
        if self._pre:
            first, *others = text.split("\n")
            self._put(first)
            for line in others:
                self._end_line()
                self._put(line)
            return
        squeezed = BLANKS.sub(" ", text)
        if squeezed == " ":
            self._space = self._space or bool(self._line)
            return
        if squeezed.startswith(" ") and self._line:
            self._space = True
        self._put(squeezed.strip(" "))
        self._space = squeezed.endswith(" ")

    def _put(self, text: str) -> None:
        if not text:
            return
        if self._space and self._line:
            self._line.append(" ")
        self._space = False
        self._line.append(text)

    def open(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag that opens."""
        if self._skipping:
            return
        if tag in SKIPPED:
            self._skipping = tag
            return
        if tag == "br":
            self._end_line(always=True)
            return
        if tag in LINES:
            self._end_line()
            if tag in PARAGRAPHS:
                self._end_paragraph()
        if (
            QUOTED_CLASSES.intersection(attributes.get("class", "").split())
            or attributes.get("id", "").lower() in QUOTED_IDS
        ):
            self._end_line()
            self._add(CUT)
        if tag == "blockquote":
            self._quotes = min(self._quotes + 1, DEEPEST)
        elif tag == "pre":
            self._pre += 1
        elif tag == "li":
            self._put("- ")
        elif tag in ("td", "th"):
            self._space = bool(self._line)
        elif tag == "img":
            self._put(attributes.get("alt", "").strip())
        elif tag == "a":
            self._links.append((attributes.get("href", ""), len(self._line)))

    def close(self, tag: str) -> None:
        """A tag that closes."""
        if self._skipping:
            if tag == self._skipping or (self._skipping == "head" and tag == "html"):
                self._skipping = ""
            return
        if tag == "a" and self._links:
            self._end_link(*self._links.pop())
        elif tag in LINES:
            self._end_line()
            if tag in PARAGRAPHS:
                self._end_paragraph()
            if tag == "blockquote":
                self._quotes = max(self._quotes - 1, 0)
            elif tag == "pre":
                self._pre = max(self._pre - 1, 0)

    def _end_link(self, target: str, start: int) -> None:
        words = "".join(self._line[start:]).strip()
        if not target.lower().startswith(("http://", "https://", "mailto:", "tel:")):
            return
        bare = target.removeprefix("mailto:").removeprefix("tel:")
        if words and words.rstrip("/") not in (bare.rstrip("/"), bare.split("://")[-1].rstrip("/")):
            self._line.append(f" ({bare})")

    def _end_line(self, *, always: bool = False) -> None:
        if self._line or always:
            self._add("".join(self._line).rstrip())
            self._line = []
        self._space = False
        self._links = []

    def _end_paragraph(self) -> None:
        if not self._blank:
            self._add("")

    def _add(self, line: str) -> None:
        self._blank = not line
        self._done.append("> " * self._quotes + line if self._quotes and line != CUT else line)

    def finish(self) -> str:
        """All of it."""
        self._end_line()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._done)).strip("\n")
