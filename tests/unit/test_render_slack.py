"""CommonMark as Slack's mrkdwn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoozl.channels.render.slack import parts, to_mrkdwn

GOLDEN = [
    ("# Title\n\ntext", "*Title*\n\ntext"),
    ("**bold** *it* ~~gone~~ `code`", "*bold* _it_ ~gone~ `code`"),
    ("***both***", "_*both*_"),
    ("**one\ntwo**", "*one*\n*two*"),
    ("wor**l**d", "wor\u200b*l*\u200bd"),
    ("a\nb  \nc", "a\nb\nc"),
    ("[label](https://x.y/?a=1&b=2)", "<https://x.y/?a=1&amp;b=2|label>"),
    ("<https://x.y>", "<https://x.y>"),
    ("[a > b | c](https://x.y/|z)", "<https://x.y/%7Cz|a &gt; b | c>"),
    ("![picture](https://x.y/p.png)", "<https://x.y/p.png|picture>"),
    ("[bad](javascript:alert(1))", "[bad](javascript:alert(1))"),
    ("[none]() ![none]() []()", "[none]() ![none]() []()"),
    ("[*a*]() [![b](https://x.y)]()", "[_a_]() [<https://x.y|b>]()"),
    ("- a\n- b\n  - c\n\n3. x\n4. y", "• a\n• b\n    ◦ c\n\n3. x\n4. y"),
    ("> one\n> two", "> one\n> two"),
    ("```python\nx = '<a>'\n```", "```\nx = '&lt;a&gt;'\n```"),
    ("    indented", "```\nindented\n```"),
    ("| a | b |\n|---|---|\n| 1 | **two** |", "```\na | b\n--+----\n1 | two\n```"),
    ("one\n\n---\n\ntwo", "one\n\n———\n\ntwo"),
    ("<!channel> <!here> <@U1> <b>&</b>", "&lt;!channel&gt; &lt;!here&gt; &lt;@U1&gt; &lt;b&gt;&amp;&lt;/b&gt;"),
    ("", ""),
]


@pytest.mark.parametrize(("markdown", "mrkdwn"), GOLDEN)
def test_markdown_becomes_mrkdwn(markdown, mrkdwn):
    assert to_mrkdwn(markdown) == mrkdwn


def test_a_long_answer_has_closed_fences_and_whole_links():
    code = "\n".join(f"value[{n}] < {n} & more" for n in range(600))
    links = " ".join(f"[link number {n}](https://example.com/{n})" for n in range(200))
    found = parts(f"# Head\n\n```python\n{code}\n```\n\n{links}", 4000)
    assert len(found) > 5
    assert all(len(part) <= 4000 for part in found)
    assert all(part.count("```") % 2 == 0 for part in found)
    outside = [part for part in found if "```" not in part]
    assert all(part.count("<") == part.count(">") for part in outside)
    assert [f"value[{n}] &lt; {n} &amp; more" in "\n".join(found) for n in range(600)] == [True] * 600


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(st.sampled_from("a <>&*_~`[]()!#-|\n>@\\\u200b1."), max_size=300))
def test_no_text_can_mention_anybody_or_break_out(text):
    for part in parts(text, 200):
        assert len(part) <= 200
        for piece in part.split("<")[1:]:
            assert piece.startswith(("http", "mailto:"))
