"""Of a mail only what its author has newly written counts, in many mail programs and languages."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoozl.channels.email import html_text, quotes

# Examples of each fuzz test, if not the usual number; with many of them give pytest a longer --timeout as well.
FUZZ = int(os.environ.get("ZOOZL_TEST_FUZZ", "0"))

GMAIL = "2\n\nOn Mon, 3 Nov 2025 at 10:00, Zoozl Bot <bot@x.test> wrote:\n\n> Which pizza?\n>\n> 1. Margherita\n> 2. Diavolo\n"
GMAIL_WRAPPED = "2\n\nOn Mon, Nov 3, 2025 at 10:00 AM Zoozl Bot With A Long Name\n<bot+abcdefghijkl.abcdefghij@x.test>\nwrote:\n\n> Which pizza?\n"
APPLE = "2\n\n> On 3 Nov 2025, at 10:00, Zoozl <bot@x.test> wrote:\n> \n> Which pizza?\n> 1. Margherita\n"
IPHONE = "2\n\nSent from my iPhone\n\n> On 3 Nov 2025, at 10:00, Zoozl <bot@x.test> wrote:\n> \n> Which pizza?\n"
THUNDERBIRD = "2\n\nOn 03/11/2025 10:00, Zoozl wrote:\n> Which pizza?\n> 2. Diavolo\n\n-- \nAnna\n"
OUTLOOK = "2\n\nFrom: Zoozl <bot@x.test>\nSent: Monday, November 3, 2025 10:00 AM\nTo: Anna <anna@y.test>\nSubject: Re: Pizza\n\nWhich pizza?\n\n1. Margherita\n"
OUTLOOK_BOLD = (
    OUTLOOK.replace("From:", "*From:*")
    .replace("Sent:", "*Sent:*")
    .replace("To:", "*To:*")
    .replace("Subject:", "*Subject:*")
)
OUTLOOK_RULE = "2\n\n________________________________\nFrom: Zoozl <bot@x.test>\nSent: Monday\n\nWhich pizza?\n"
OUTLOOK_OLD = "2\n\n-----Original Message-----\nFrom: Zoozl\nWhich pizza?\n"
OUTLOOK_PHONE = "2\n\nGet Outlook for iOS<https://aka.ms/x>\n________________________________\nFrom: Zoozl\n"
GERMAN = "2\n\nAm Mo., 3. Nov. 2025 um 10:00 Uhr schrieb Zoozl <bot@x.test>:\n\n> Welche Pizza?\n"
GERMAN_OUTLOOK = (
    "2\n\nVon: Zoozl <bot@x.test>\nGesendet: Montag, 3. November 2025 10:00\nAn: Anna\nBetreff: AW: Pizza\n\nWelche?\n"
)
FRENCH = "2\n\nLe lun. 3 nov. 2025 à 10:00, Zoozl <bot@x.test> a écrit :\n\n> Quelle pizza ?\n"
SPANISH = "2\n\nEl lun, 3 nov 2025 a las 10:00, Zoozl (<bot@x.test>) escribió:\n\n> ¿Qué pizza?\n"
SWEDISH = "2\n\nDen mån 3 nov. 2025 kl 10:00 skrev Zoozl <bot@x.test>:\n\n> Vilken pizza?\n"
LATVIAN = "2\n\nPirmd., 2025. g. 3. nov., plkst. 10:00 — lietotājs Zoozl (<bot@x.test>)\nrakstīja:\n\n> Kura pica?\n"
ITALIAN = "2\n\nIl giorno lun 3 nov 2025 alle ore 10:00 Zoozl <bot@x.test> ha scritto:\n\n> Quale pizza?\n"
DUTCH = "2\n\nOp ma 3 nov 2025 om 10:00 schreef Zoozl <bot@x.test>:\n\n> Welke pizza?\n"
POLISH = "2\n\nW dniu pon., 3 lis 2025 o 10:00 Zoozl <bot@x.test> napisał(a):\n\n> Która pizza?\n"
RUSSIAN = "2\n\nпн, 3 нояб. 2025 г. в 10:00, Zoozl <bot@x.test>:\n\n> Какая пицца?\n"
MUTT = "2\n\nZoozl wrote:\n> Which pizza?\n"
POLITE = "Hi Zoozl,\n\n2\n\nBest regards,\nAnna Smith\n+371 123\n\nOn Mon, 3 Nov 2025 at 10:00, Zoozl <bot@x.test> wrote:\n> Which?\n"
SIGNED = "2\n-- \nAnna Smith\nHead of Pizza\n"
BELOW = "On Mon, 3 Nov 2025 at 10:00, Zoozl <bot@x.test> wrote:\n> Which pizza?\n> 1. Margherita\n\n2\n"
BELOW_BARE = "> Which pizza?\n\n2\n"

SAMPLES = {name: text for name, text in globals().items() if name.isupper() and isinstance(text, str)}


@pytest.mark.parametrize("name", SAMPLES)
def test_an_answer_is_found_in_every_mail_program(name):
    assert quotes.new_text(SAMPLES[name]) == "2"


@pytest.mark.parametrize("name", SAMPLES)
def test_line_ends_of_the_wire_change_nothing(name):
    assert quotes.new_text(SAMPLES[name].replace("\n", "\r\n")) == "2"


INLINE = "Hello,\n\nOn Mon, 3 Nov 2025 at 10:00, Zoozl <bot@x.test> wrote:\n> Which pizza?\nDiavolo\n> How many?\nTwo\n"
FORWARDED = "---------- Forwarded message ---------\nFrom: Bob <b@z.test>\nDate: Mon\nSubject: x\nTo: Anna\n\nPlease look at this.\n"
FORWARDED_APPLE = "Begin forwarded message:\n\nFrom: Bob\nSubject: x\nDate: Mon\n\nLook.\n"


@pytest.mark.parametrize(
    "text",
    [
        INLINE,
        FORWARDED,
        FORWARDED_APPLE,
        "> a\nmine\n> b\nmine too\n",
        "> only what is quoted\n",
        "I have 3 questions for 2 people:\nwho wrote:\nand why?",
        "From: here to there\nis 5 km",
        "Dear Sir",
        "Thanks!",
        "- one\n- two\n\n- three",
        "--",
    ],
)
def test_when_in_doubt_all_is_kept(text):
    assert quotes.new_text(text) == text.strip()


def test_words_before_what_is_forwarded_are_the_new_ones():
    assert quotes.new_text("Please handle this.\n\n" + FORWARDED) == "Please handle this."


def test_a_closing_is_taken_off_but_not_words_of_thanks_in_the_text():
    assert quotes.new_text("Yes please\n\nThanks,\nAnna") == "Yes please"
    assert (
        quotes.new_text("Thanks for the pizza, it was good.\nAnother one?")
        == "Thanks for the pizza, it was good.\nAnother one?"
    )
    long = "Best regards\n" + "\n".join(
        ["and this goes on for much longer than any name that stands below a closing does"] * 3
    )
    assert quotes.new_text("x\n" + long) == "x\n" + long


def test_a_salutation_is_taken_off_but_not_a_sentence():
    assert quotes.new_text("Hello,\n\norder a pizza") == "order a pizza"
    assert quotes.new_text("Hello can you help me with this\nplease?") == "Hello can you help me with this\nplease?"


@pytest.mark.parametrize(
    "source",
    [
        '<div dir="ltr">2</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">On Mon, 3 Nov 2025 Zoozl wrote:<br></div><blockquote class="gmail_quote"><p>Which?</p></blockquote></div>',
        '<html><body>2<div id="appendonsend"></div><hr style="x"><div id="divRplyFwdMsg"><b>From:</b> Zoozl</div><div>Which?</div></body></html>',
        '<p>2</p><blockquote type="cite"><div>On 3 Nov 2025, at 10:00, Zoozl &lt;bot@x.test&gt; wrote:</div><p>Which?</p></blockquote>',
        '<p>2</p><div class="moz-cite-prefix">On 03/11/2025 10:00, Zoozl wrote:<br></div><blockquote type="cite" cite="mid:x"><p>Which?</p></blockquote>',
        '<div>2</div><div class="yahoo_quoted"><div>On Monday, Zoozl wrote:</div><div>Which?</div></div>',
        '<div><p>2</p></div><div style="border-top:solid"><p><b>From:</b> Zoozl<br><b>Sent:</b> Monday<br><b>To:</b> Anna<br><b>Subject:</b> x</p></div><p>Which?</p>',
    ],
    ids=["gmail", "outlook web", "apple", "thunderbird", "yahoo", "outlook"],
)
def test_html_that_marks_what_is_quoted_is_cut_there(source):
    assert quotes.new_text(html_text.to_text(source)) == "2"


def test_a_gmail_forward_is_kept():
    source = '<div dir="ltr"><div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------<br>From: Bob</div><p>Look at this</p></div></div>'
    text = quotes.new_text(html_text.to_text(source))
    assert "Look at this" in text
    assert html_text.CUT not in text


def test_answers_within_quoted_html_are_kept():
    source = '<p>See below</p><blockquote type="cite"><p>Which?</p></blockquote><p>Diavolo</p><blockquote type="cite"><p>How many?</p></blockquote><p>Two</p>'
    text = quotes.new_text(html_text.to_text(source))
    assert all(word in text for word in ("See below", "> Which?", "Diavolo", "Two"))


LINES = [line for text in (*SAMPLES.values(), INLINE, FORWARDED, FORWARDED_APPLE) for line in text.split("\n")]


@settings(max_examples=FUZZ or 300, deadline=None)
@given(st.lists(st.sampled_from([*LINES, html_text.CUT]) | st.text(max_size=20), max_size=30), st.sampled_from("\n\r"))
def test_nothing_is_said_that_is_not_in_the_mail(lines, end):
    begun = time.thread_time()
    found = quotes.new_text(end.join(lines))
    assert time.thread_time() - begun < 2
    assert html_text.CUT not in found.split("\n")
    said = [line.strip() for text in lines for line in text.replace("\r", "\n").split("\n")]
    said = [line for line in said if line not in ("", html_text.CUT)]
    left = iter(said)
    # All of it, in its order.
    assert all(line.strip() in left for line in found.split("\n") if line)
    assert bool(found) == bool(said)
