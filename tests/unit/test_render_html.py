"""Markdown to HTML that may stand in a page as it is."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoozl.channels.render.html import LONGEST, to_html

REL = 'target="_blank" rel="noopener noreferrer nofollow"'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a *b* **c** `d`", "<p>a <em>b</em> <strong>c</strong> <code>d</code></p>"),
        ("one\ntwo", "<p>one<br />\ntwo</p>"),
        ("a <b>c</b> & d", "<p>a &lt;b&gt;c&lt;/b&gt; &amp; d</p>"),
        ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
        ("```python\n<x>\n```", '<pre><code class="language-python">&lt;x&gt;\n</code></pre>'),
        ("```\nx\n```", "<pre><code>x\n</code></pre>"),
        ("[a](https://b.c)", f'<p><a href="https://b.c" {REL}>a</a></p>'),
        ("[a](mailto:b@c.d)", f'<p><a href="mailto:b@c.d" {REL}>a</a></p>'),
        ("<https://b.c/?d=1&e=2>", f'<p><a href="https://b.c/?d=1&amp;e=2" {REL}>https://b.c/?d=1&amp;e=2</a></p>'),
        ("[a](javascript:x)", "<p>[a](javascript:x)</p>"),
        ("[*a*]() ![b]() []()", "<p>[<em>a</em>]() ![b]() []()</p>"),
        ("[a](JavaScript&colon;x)", "<p>[a](JavaScript:x)</p>"),
        ("[a](data:text/html,x)", "<p>[a](data:text/html,x)</p>"),
        ("[a](/here)", "<p>[a](/here)</p>"),
        ("![a *b*](https://c.d/e.png)", f'<p><a href="https://c.d/e.png" {REL}>a b</a></p>'),
        ("![](https://c.d)", f'<p><a href="https://c.d" {REL}>https://c.d</a></p>'),
        ("[![a](https://b.c/d.png)](https://e.f)", f'<p><a href="https://e.f" {REL}>a</a></p>'),
        ("~~a~~", "<p><s>a</s></p>"),
    ],
)
def test_text_becomes(text, html):
    assert to_html(text).strip() == html


def test_a_table_is_aligned_by_classes():
    html = to_html("| a | b | c |\n|:--|:-:|---|\n| 1 | 2 | 3 |")
    assert '<td class="left">1</td>' in html
    assert '<th class="center">b</th>' in html
    assert "<td>3</td>" in html
    assert "style" not in html


def test_a_text_that_is_too_long_is_shown_as_it_is():
    assert to_html("*a*\n<b>" + "x" * LONGEST) == "<p>*a*<br>\n&lt;b&gt;" + "x" * LONGEST + "</p>\n"


@pytest.mark.parametrize(
    "piece", ["[", "![", "*a ", "*a**b", "> - ", "[a](", "<a ", "_a_", "a\n", "`", "|a", "![a](http://b)"]
)
def test_no_text_takes_long(piece):
    start = time.thread_time()
    to_html((piece * LONGEST)[:LONGEST])
    assert time.thread_time() - start < 3


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


TAGS = {"a", "blockquote", "br", "code", "em", "hr", "li", "ol", "p", "pre", "s", "strong", "ul"}
TAGS |= {"h1", "h2", "h3", "h4", "h5", "h6", "table", "tbody", "td", "th", "thead", "tr"}
PIECES = [
    "<",
    ">",
    '"',
    "'",
    "&#58;",
    "[",
    "](",
    ")",
    "!",
    "`",
    "```",
    "\n",
    " ",
    "javascript:",
    "https://a.b",
    "<img src=x onerror=y>",
    "x",
    "|",
    "-",
    "#",
]


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(max_size=60))
def test_nothing_harmful_comes_out(text):
    reader = Reader()
    reader.feed(to_html(text))
    for tag, attrs in reader.found:
        assert tag in TAGS
        assert set(attrs) <= {"href", "title", "target", "rel", "class", "start"}
        assert attrs.get("href", "https://").lower().startswith(("http://", "https://", "mailto:"))
