"""Mails taken apart: words, files and addresses, and nothing that breaks it."""

import base64
import os
import time
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoozl.channels.email import bounces, guards, html_text, mime, quotes, trust
from zoozl.channels.email.compose import Envelope
from zoozl.channels.email.threads import Threads

# Examples of each fuzz test, if not the usual number; with many of them give pytest a longer --timeout as well.
FUZZ = int(os.environ.get("ZOOZL_TEST_FUZZ", "0"))


def parsed(text):
    return mime.parse(text.encode() if isinstance(text, str) else text)


def multipart(kind, *parts):
    body = "".join(f"--B\n{part}\n" for part in parts)
    return f"From: a@y.test\nMIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary=B\n\n{body}--B--\n"


PLAIN = "Content-Type: text/plain\n\nplain words"
HTML = "Content-Type: text/html\n\n<p>html <b>words</b></p>"


def test_a_plain_mail_is_its_text():
    mail = parsed("From: Anna <Anna@Y.test>\nTo: x\nSubject: Hi\nMessage-ID: <1@y>\n\nhello\n")
    assert (mail.text, mail.subject, mail.message_id, mail.author, mail.author_name) == (
        "hello",
        "Hi",
        "<1@y>",
        "Anna@Y.test",
        "Anna",
    )
    assert mail.files == ()


def test_of_an_alternative_the_plain_text_counts_unless_it_is_blank():
    assert parsed(multipart("alternative", PLAIN, HTML)).text == "plain words"
    assert parsed(multipart("alternative", "Content-Type: text/plain\n\n  ", HTML)).text == "html words"
    assert parsed(multipart("alternative", HTML)).text == "html words"


def test_a_picture_in_the_text_and_a_file_beside_it_are_files():
    related = (
        HTML
        + "\n--B\nContent-Type: image/png\nContent-ID: <p>\nContent-Disposition: inline; filename=p.png\nContent-Transfer-Encoding: base64\n\niVBORw=="
    )
    mail = parsed(
        multipart(
            "related", related, "Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment\n\n%PDF"
        )
    )
    assert mail.text == "html words"
    assert [(f.filename, f.media_type) for f in mail.files] == [("p.png", "image/png"), ("a.pdf", "application/pdf")]


def test_text_around_an_attachment_is_all_read():
    mail = parsed(
        multipart(
            "mixed", PLAIN, "Content-Type: image/gif; name=x.gif\n\nGIF", "Content-Type: text/plain\n\nmore words"
        )
    )
    assert mail.text == "plain words\nmore words"


def test_a_mail_in_a_mail_is_a_file_that_has_its_subject_for_a_name():
    inner = "Content-Type: message/rfc822\n\nFrom: z@z\nSubject: Old/../story\n\ninner words"
    mail = parsed(multipart("mixed", PLAIN, inner))
    assert mail.text == "plain words"
    assert [(f.filename, f.media_type) for f in mail.files] == [("story.eml", "message/rfc822")]
    assert b"inner words" in mail.files[0].binary


@pytest.mark.parametrize(
    ("charset", "encoded", "text"),
    [
        ("iso-8859-1", "Grüße".encode("latin-1"), "Grüße"),
        ("windows-1257", "šķūnis".encode("cp1257"), "šķūnis"),
        ("koi8-r", "привет".encode("koi8-r"), "привет"),
        ("x-unknown", "Grüße".encode(), "Grüße"),
        ("punycode", b"Grsse-abc", "Grsse-abc"),
        ("rot13", b"abc", "abc"),
        ("utf-8", b"\xff\xfeok", "\ufffd\ufffdok"),
    ],
)
def test_words_in_any_charset_are_read(charset, encoded, text):
    raw = f"Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: 8bit\n\n".encode() + encoded
    assert parsed(raw).text == text


def test_broken_base64_is_read_as_far_as_it_goes():
    raw = "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\naGVsbG8gd29ybGQ*!!\n"
    assert "hello worl" in parsed(raw).text


def test_encoded_words_and_names_are_read():
    mail = parsed(
        "From: =?utf-8?Q?J=C3=BCrgen?= <j@y.test>\nSubject: =?utf-8?B?SMOpbGxv?=\n =?utf-8?Q?_w=C3=B6rld?=\n\nx"
    )
    assert (mail.subject, mail.author_name) == ("Héllo wörld", "Jürgen")
    assert parsed("Subject: =?utf-8?B?broken\n\nx").subject == "=?utf-8?B?broken"
    assert parsed(b"Subject: Gr\xc3\xbc\xc3\x9fe\n\nx").subject == "Grüße"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("filename*=utf-8''na%C3%AFve.txt", "naïve.txt"),
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="C:\\\\x\\\\boot.ini"', "boot.ini"),
        ('filename="=?utf-8?Q?r=C3=A9sum=C3=A9.pdf?="', "résumé.pdf"),
        ('filename="a\x01b\x7f.txt"', "a b .txt"),
        ('filename=".."', ""),
        (f'filename="{"x" * 500}.jpeg"', "x" * 115 + ".jpeg"),
    ],
)
def test_a_file_name_is_a_safe_one(header, name):
    raw = multipart(
        "mixed", PLAIN, f"Content-Type: application/octet-stream\nContent-Disposition: attachment; {header}\n\nx"
    )
    assert parsed(raw).files[0].filename == name


def test_a_file_name_round_trips_through_the_standard_library():
    built = EmailMessage()
    built["From"] = "a@y.test"
    built.set_content("x")
    built.add_attachment(b"data", maintype="text", subtype="csv", filename="naïve — list.csv")
    (file,) = mime.parse(built.as_bytes()).files
    assert (file.filename, file.binary, file.media_type) == ("naïve — list.csv", b"data", "text/csv")


def test_flowed_text_is_joined():
    assert (
        parsed("Content-Type: text/plain; format=flowed\n\nThis is one \nparagraph.\nNext.").text
        == "This is one paragraph.\nNext."
    )


def test_where_answers_go():
    assert parsed("From: a@y.test\nReply-To: B <b@z.test>, c@z.test\n\nx").reply_to == "b@z.test"
    assert parsed("From: a@y.test\nReply-To: undisclosed:;\n\nx").reply_to == "a@y.test"
    both = parsed("From: a@y.test, b@y.test\n\nx")
    assert (both.author, both.reply_to) == ("", "a@y.test")
    assert parsed("Sender: s@y.test\n\nx").reply_to == ""
    assert parsed("From: not an address\n\nx").reply_to == ""


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"no header at all",
        b"\x00\x01\xff" * 100,
        b"Content-Type: multipart/mixed\n\nno boundary",
        b"Content-Type: multipart/mixed; boundary=\n\n--\n--",
        b"Content-Type: ;;;=\nSubject: =?\n\nx",
        b"From: " + b"a@y.test," * 20_000 + b"\n\nx",
        b"Subject: " + b"=?utf-8?Q?x?= " * 20_000 + b"\n\nx",
        b"Content-Type: text/plain; " + b"a*0=b;" * 20_000 + b"\n\nx",
        b"Content-Disposition: attachment; " + b"filename*0*=utf-8''x;" * 5_000 + b"\n\nx",
        (
            "Content-Type: multipart/mixed; boundary=B\n\n" + "--B\nContent-Type: text/plain\n\nx\n" * 5_000 + "--B--"
        ).encode(),
        b"Content-Type: message/rfc822\n\n" * 5_000 + b"x",
        b"".join(b"Content-Type: multipart/mixed; boundary=B%d\n\n--B%d\n" % (n, n) for n in range(2_000)),
        b"Content-Type: multipart/mixed; boundary=B\n\n" + b"--B\n" * 50_000,
        b"a: b\n" * 100_000,
    ],
)
def test_nothing_breaks_it_or_takes_long(raw):
    begun = time.thread_time()
    mail = mime.parse(raw)
    assert time.thread_time() - begun < 5
    assert len(mail.files) <= mime.MOST_PARTS
    assert len(mail.text) <= mime.LONGEST_TEXT


@settings(max_examples=FUZZ or 300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"From: a@y.test\n",
                b"Content-Type: multipart/mixed; boundary=B\n",
                b"Content-Type: text/html; charset=utf-7\n",
                b"\n",
                b"--B\n",
                b"--B--\n",
                b"Content-Transfer-Encoding: base64\n",
                b"Content-Disposition: attachment; filename*=x''%zz\n",
                b"Subject: =?utf-8?B?//8?=\n",
                b"> quoted\n",
                b"On 1 2 a@b wrote:\n",
                b"<div class=gmail_quote>",
                b"Content-Type: message/rfc822\n",
                b"-- \n",
                b"From: x\nSent: y\nTo: z\nSubject: s\n",
                b"\xff\xfe",
                b"Reply-To: <a@y.test>, b\n",
                b"References: <1@y> <2@y>\n",
                b"Authentication-Results: mx.x.test; dkim=pass header.d=y.test\n",
                b"Content-Type: multipart/report; report-type=delivery-status; boundary=B\n",
                b"Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@y\nAction: failed\nStatus: 5.1.1\n",
                b"Content-Type: multipart/alternative; boundary=B\n",
                b'Content-Type: text/plain; format=flowed; delsp=yes; charset="x\n',
                b"Content-Transfer-Encoding: uuencode\n",
                b"begin 644 a\n#86)C\n \nend\n",
                # Line breaks to some parts of the standard library, and none to others.
                b"Subject: x\x0bFoo: y\n",
                b"A\x0c: b\x0cC: d\n",
                b"A: \xc2\x85B: c\x85D: e\n",
                b"Content-Type: message/rfc822\x1cFoo: y\n",
                b"Content-Type: message/rfc822\n\nSubject: x\x0bFoo: y\n",
                b"Content-Type: multipart/mixed; boundary=\xff\n",
                b"Subject: =?utf-8?b?abcde?=\n",
                b"From: =?utf-8?b?a?= <a@y.test>\n",
            ]
        )
        | st.binary(max_size=30),
        max_size=30,
    )
)
def test_no_mail_raises(pieces):
    raw = b"".join(pieces)
    mail = mime.parse(raw)
    assert "\x00" not in mail.text
    bounces.failed(raw)
    # And what is done with it then.
    guards.reason_not_to_answer(mail.header, "a@y.test", mail.reply_to, {"bot@x.test"}, "bot@x.test")
    trust.verdict(mail.header, mail.author, "mx.x.test")
    Threads(b"k").find("", mail.in_reply_to, mail.references, mail.message_id or "own", mail.reply_to)
    Envelope.load(Envelope.of(mail).dump())


@settings(max_examples=FUZZ or 300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"\x0b", b"\x0c", b"\x1c", b"\x85", b"\xc2\x85", b"\xe2\x80\xa8", b"Foo: y", b" ", b"\n ", b"a" * 80]
        )
        | st.binary(max_size=5).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))
    ).map(b"".join),
    st.sampled_from([b"Subject", b"From", b"X", b"Content-Disposition"]),
)
def test_a_forwarded_mail_is_kept_as_it_came(value, name):
    inner = b"%s: (%s)\nTo: x\n\nhello \xe9\n" % (name, value)
    for kind in (b"message/rfc822", b"message/rfc822\nSubject: x\x0bFoo: y"):
        (file,) = mime.parse(b"From: a@y.test\nContent-Type: %s\n\n%s" % (kind, inner)).files
        assert file.binary == inner


def test_a_forwarded_mail_without_its_parts_is_kept_as_well():
    inner = b"Content-Type: multipart/mixed; boundary=\xff\n\n--\xff\n\ncaf\xe9\n--\xff--\n"
    (file,) = mime.parse(b"Content-Type: message/rfc822\n\n" + inner).files
    assert file.binary == inner


@pytest.mark.parametrize("word", ["=?utf-8?b?abcde?=", "=?utf-8?B?a?="])
def test_a_broken_encoded_word_is_read_as_it_stands(word):
    mail = parsed(f'From: {word} <a@y.test>\nSubject: {word}\nContent-Type: x/y; name="{word}"\n\nx\n')
    assert (mail.subject, mail.author, mail.author_name) == (word, "a@y.test", word)
    assert mail.files[0].binary == b"x\n"


@settings(max_examples=FUZZ or 300, deadline=None)
@given(
    st.text(max_size=300)
    | st.lists(
        st.sampled_from(
            [
                "<",
                ">",
                "<div>",
                "</div>",
                "<a href='x'>",
                "<!--",
                "-->",
                '"',
                "<script>",
                "</script",
                "&amp;",
                "<blockquote>",
                "x",
                " ",
                "\n",
                "<br>",
                "<td>",
                "</",
            ]
        )
    ).map("".join)
)
def test_no_html_raises(source):
    text = html_text.to_text(source)
    quotes.new_text(text)


@pytest.mark.parametrize(
    "source",
    [
        "<div>" * 200_000,
        "<" * 1_000_000,
        "<!--" * 250_000,
        "<a " + "a=b " * 250_000 + ">",
        "<a a=b " * 140_000,
        '<a b="' * 160_000,
        "<script>" * 120_000,
        "<script></scrip" * 60_000,
        "<style></style>" * 60_000,
        "&" * 1_000_000,
        "&#x" * 300_000,
        "<blockquote>" * 80_000 + "x<br>" * 10_000,
        "<td>" * 250_000,
        "<pre>" + "\n" * 900_000,
        " " * 1_000_000,
        '<a href="http://x">' * 50_000 + "</a>" * 10_000,
        '<div id="' + "> " * 400_000,
    ],
)
def test_html_takes_time_by_its_length_only(source):
    begun = time.thread_time()
    html_text.to_text(source)
    assert time.thread_time() - begun < 4


@pytest.mark.parametrize(
    "line",
    [
        "> " * 100,
        "On 1 2 a@b " * 30,
        "wrote:",
        "From: x",
        "-" * 300,
        "_ " * 200,
        "Sent from my x",
        "hi " * 100,
        " ",
        "a 1 2 wrote:",
    ],
)
def test_stripping_takes_time_by_the_length_only(line):
    text = f"new\n{(line + chr(10)) * 20_000}"
    begun = time.thread_time()
    quotes.new_text(text)
    assert time.thread_time() - begun < 4


def test_html_reads_as_people_see_it():
    source = """<html><head><title>t</title><style>p {a: b}</style></head><body><p>Dear&nbsp;bot,</p>
    <div>see <a href="https://x.test/a?b=1&amp;c=2">this  page</a> and <a href="https://y.test">https://y.test/</a></div>
    <ul><li>one</li><li>two</li></ul><table><tr><td>a</td><td>b</td></tr></table>5 &lt; 6<br>end<script>x<y</script>
    <img alt="a cat" src="http://track.test/x.gif"></body></html>"""
    assert html_text.to_text(source) == (
        "Dear\xa0bot,\n\nsee this page (https://x.test/a?b=1&c=2) and https://y.test/\n\n- one\n- two\n\na b\n\n5 < 6\nend a cat"
    )


def test_a_report_names_the_address_that_is_given_up():
    def report(action, status):
        return (
            "From: MAILER-DAEMON@y.test\nContent-Type: multipart/report; report-type=delivery-status; boundary=B\n\n"
            "--B\nContent-Type: text/plain\n\nsorry\n--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; y\n\n"
            f"Final-Recipient: rfc822; anna@y.test\nAction: {action}\nStatus: {status}\n\n"
            "--B\nContent-Type: text/rfc822-headers\n\nMessage-ID: <ours@x.test>\nSubject: s\n--B--\n"
        ).encode()

    assert bounces.failed(report("failed", "5.1.1")) == [("anna@y.test", "<ours@x.test>")]
    assert bounces.failed(report("delayed", "4.4.1")) == []
    assert bounces.failed(report("failed", "4.4.1")) == []
    assert bounces.failed(report("failed", "5.1.1").replace(b"multipart/report", b"multipart/mixed")) == []


def test_a_report_with_the_whole_mail_is_read_too():
    raw = (
        b"Content-Type: multipart/report; boundary=B\n\n--B\n\nx\n--B\nContent-Type: message/delivery-status\n\nReporting-MTA: x\n\n"
        b"Final-Recipient: rfc822;anna@y.test\nAction: failed\nStatus: 5.0.0\n\n--B\nContent-Type: message/rfc822\n\nMessage-ID: <o@x>\n\nhi\n--B--\n"
    )
    assert bounces.failed(raw) == [("anna@y.test", "<o@x>")]


def test_a_large_attachment_is_whole():
    data = bytes(range(256)) * 4000
    raw = multipart(
        "mixed",
        PLAIN,
        "Content-Type: application/x-data; name=d\nContent-Transfer-Encoding: base64\n\n"
        + base64.encodebytes(data).decode(),
    )
    assert parsed(raw).files[0].binary == data
