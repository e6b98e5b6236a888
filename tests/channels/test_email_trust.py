"""Who has written a mail is known by the word of the own mail server only."""

import importlib
import os
import sys
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoozl.channels.email import mime
from zoozl.channels.email.options import Options
from zoozl.channels.email.threads import Threads
from zoozl.channels.email.trust import verdict
from zoozl.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
fakes = importlib.import_module("fake_smtp")

# Examples of each fuzz test, if not the usual number; with many of them give pytest a longer --timeout as well.
FUZZ = int(os.environ.get("ZOOZL_TEST_FUZZ", "0"))
PASS = "Authentication-Results: mx.x.test; dmarc=pass header.from=y.test"


def method(*fields, author="anna@y.test"):
    mail = mime.parse(("\n".join(fields) + f"\nFrom: {author}\n\nx").encode())
    return verdict(mail.header, mail.author, "mx.x.test")


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (PASS, "dmarc"),
        ("Authentication-Results: MX.X.test 1; dmarc=pass (p=none) header.from=Y.test", "dmarc"),
        ("Authentication-Results: mx.x.test; spf=fail smtp.mailfrom=z.test; dkim=pass header.d=y.test", "dkim"),
        (
            "Authentication-Results: mx.x.test;\n dkim=pass (2048-bit key; unprotected) header.i=@y.test header.s=k",
            "dkim",
        ),
        ("Authentication-Results: mx.x.test; spf=pass smtp.mailfrom=anna@y.test", "spf"),
        ("Authentication-Results: mx.x.test; spf=pass smtp.mailfrom=y.test; dmarc=fail header.from=y.test", "spf"),
        ("Authentication-Results: mx.x.test; none", ""),
        ("Authentication-Results: mx.x.test; dmarc=fail header.from=y.test", ""),
        ("Authentication-Results: mx.x.test; dmarc=pass header.from=evil.test", ""),
        ("Authentication-Results: mx.x.test; dkim=pass header.d=evil.test", ""),
        ("Authentication-Results: mx.x.test; dkim=pass header.d=test", ""),
        ("Authentication-Results: mx.x.test; dkim=pass header.d=sub.y.test", ""),
        ("Authentication-Results: mx.x.test; spf=pass smtp.mailfrom=anna@evil.test", ""),
        ("Authentication-Results: mx.x.test; spf=pass smtp.helo=y.test", ""),
        ("Authentication-Results: mx.x.test; auth=pass smtp.auth=anna@y.test", ""),
        ("Authentication-Results: evil.test; dmarc=pass header.from=y.test", ""),
        ("Authentication-Results: mx.x.test.evil.test; dmarc=pass header.from=y.test", ""),
        ('Authentication-Results: evil.test; x="; mx.x.test; dmarc=pass header.from=y.test"', ""),
        ('Authentication-Results: mx.x.test; dkim=fail reason="x; dmarc=pass header.from=y.test"', ""),
        ("Authentication-Results: mx.x.test; dkim=fail (x; dmarc=pass header.from=y.test)", ""),
        ("Authentication-Results: mx.x.test; dkim=fail (((((((((; dmarc=pass header.from=y.test)))))))))", ""),
        ("Authentication-Results: mx.x.test; dkim=fail (; dmarc=pass header.from=y.test", ""),
        ("Authentication-Results:", ""),
        ("X-Other: x", ""),
    ],
)
def test_only_a_pass_for_the_domain_of_the_author_counts(field, found):
    assert method(field) == found


PIECES = [
    "dmarc=pass",
    "dkim=pass",
    "spf=pass",
    "=",
    ";",
    " ",
    '"',
    "(",
    ")",
    "\\",
    "/1",
    "none",
    "evil.test",
    "MX.x.te",
]
PIECES += ["header.from=", "header.d=", "header.i=@", "smtp.mailfrom=", "reason=", "1", "\t", "@", ".", "fail"]


@settings(max_examples=FUZZ or 300, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, "mx.x.test", "y.test"]) | st.text(max_size=4), max_size=25).map("".join))
def test_no_word_of_chance_proves_anybody(field):
    header = Message()
    header["From"], header["Authentication-Results"] = "anna@y.test", field
    found = verdict(header, "anna@y.test", "mx.x.test")
    assert found in ("", "dmarc", "dkim", "spf")
    if found:
        # Comments may stand before it.
        assert "(" in field or field.split()[0].casefold().startswith("mx.x.test")
    if found in ("dkim", "spf"):
        assert "y.test" in field.casefold()
    assert verdict(header, "anna@y.test", "other.test") == ""
    # DMARC is about From, whatever stands there, if it does not say otherwise.
    assert verdict(header, "eve@z.test", "mx.x.test") in ("", "dmarc")


@settings(max_examples=FUZZ or 300, deadline=None)
@given(st.text(st.sampled_from("abz27.-<>@A\n"), max_size=50) | st.text(max_size=50), st.text(max_size=10))
def test_no_thread_is_found_in_what_was_not_signed(text, talker):
    threads, others = Threads(b"k"), Threads(b"other")
    for one in (
        text,
        text.upper(),
        others.tag("abcdefghijkl"),
        others.message_id("abcdefghijkl", "1", talker, "x.test"),
    ):
        assert threads.of_tag(one) == ""
        assert threads.of_message_id(one, talker) == ""
    thread = threads.begun_by(text)
    assert threads.of_tag(threads.tag(thread).upper()) == thread
    assert threads.of_message_id(threads.message_id(thread, "1-a", talker, "x.test"), talker) == thread
    assert threads.of_message_id(threads.message_id(thread, "1-a", talker, "x.test"), f"{talker}x") == ""


def test_only_the_topmost_field_counts():
    assert method("Authentication-Results: evil.test; dmarc=pass", PASS) == ""
    assert method("Authentication-Results: mx.x.test; dmarc=fail", PASS) == ""
    assert method(PASS, "Authentication-Results: evil.test; dmarc=fail") == "dmarc"


def test_more_than_one_author_is_nobody():
    assert method(PASS, "From: boss@y.test") == ""
    assert method(PASS, author="anna@y.test, boss@y.test") == ""


@pytest.fixture
def mailbot(serve):
    def make(smtp, **options):
        conf = {"email_port": 0, "email_address": "bot@x.test", "email_smtp_port": smtp.port}
        return serve(extensions=["fake_mail_bot"], email=options, **conf)

    return make


async def ask(up, text, *fields, author="anna@y.test"):
    lines = "\n".join([*fields, f"From: {author}", "Subject: Re: x"])
    async with fakes.lmtp(up.port("email")) as client:
        assert await client.mail(f"{lines}\n\n{text}\n", sender=author) == ["250 2.0.0 OK"]
    await up.bot.idle()


async def test_a_forged_sender_has_no_roles(mailbot):
    async with (
        fakes.fake_smtp() as smtp,
        mailbot(smtp, authserv_id="mx.x.test", roles={"admin": ["anna@y.test"]}) as up,
    ):
        await ask(up, "/admin", PASS)
        await ask(up, "/admin now")
        await ask(up, "/admin again", "Authentication-Results: evil.test; dmarc=pass header.from=y.test")
        await ask(up, "/admin too", PASS.replace("y.test", "z.test"), author="bob@z.test")
        said = [mail.get_body(("plain",)).get_content().strip() for mail in smtp.mails]
    assert said == ["As you wish.", *["Sorry, you may not use this."] * 3]


async def test_without_an_authserv_id_nobody_is_known(mailbot):
    async with fakes.fake_smtp() as smtp, mailbot(smtp) as up:
        await ask(up, "who am I", PASS)
        assert "known as nobody" in smtp.mails[0].get_body(("plain",)).get_content()


async def test_a_known_author_is_an_identity(mailbot):
    async with fakes.fake_smtp() as smtp, mailbot(smtp, authserv_id="mx.x.test") as up:
        await ask(up, "who am I", PASS)
        assert "known as anna@y.test" in smtp.mails[0].get_body(("plain",)).get_content()


async def test_a_closed_channel_answers_those_in_its_list_who_are_known(mailbot):
    options = {"authserv_id": "mx.x.test", "access": "closed", "allow": ["*@y.test"]}
    async with fakes.fake_smtp() as smtp, mailbot(smtp, **options) as up:
        await ask(up, "let me in", PASS)
        await ask(up, "me too")
        assert len(smtp.mails) == 1
        # Who is known and not in the list hears so; who is not known may not have written it.
        await ask(up, "and me", PASS.replace("y.test", "z.test"), author="bob@z.test")
        assert smtp.mails[1].get_body(("plain",)).get_content().strip() == "Sorry, I may not talk with you."
        await ask(up, "and me?", author="carl@z.test")
        assert len(smtp.mails) == 2


async def test_auth_required_lets_only_those_in_who_are_known(serve):
    async with fakes.fake_smtp() as smtp:
        conf = {"email_port": 0, "email_address": "bot@x.test", "email_smtp_port": smtp.port, "auth_required": True}
        conf |= {"websocket_port": None} and {"websocket": {"enabled": False}}
        with pytest.raises(ConfigError, match="needs authserv_id"):
            async with serve(extensions=["fake_mail_bot"], **conf):
                pass
        async with serve(extensions=["fake_mail_bot"], email={"authserv_id": "mx.x.test"}, **conf) as up:
            await ask(up, "hello")
            assert smtp.mails == []
            await ask(up, "hello", PASS)
            assert len(smtp.mails) == 1


@pytest.mark.parametrize("options", [{"access": "closed", "allow": ["*"]}, {"roles": {"admin": ["a@y.test"]}}])
def test_a_list_of_people_needs_a_way_to_know_them(options):
    with pytest.raises(ValueError, match="authserv_id"):
        Options(port=1, address="bot@x.test", **options)
