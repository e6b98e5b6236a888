"""Robots, lists, bounces and the bot itself are never answered; two bots stop."""

import importlib
import sys
from pathlib import Path

import pytest

from zoozl.channels.email import guards, mime
from zoozl.channels.loop_breaker import BotLoops, LoopBreaker
from zoozl.chatbot.message import Address

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
fakes = importlib.import_module("fake_smtp")

OWN = {"bot@x.test", "other-bot@x.test"}

SILENT = [
    ("", ""),
    ("MAILER-DAEMON@y.test", ""),
    ("postmaster@y.test", ""),
    ("bot@X.test", ""),
    ("bot+tag@x.test", ""),
    ("list-request@y.test", ""),
    ("owner-list@y.test", ""),
    ("noreply@y.test", ""),
    ("no-reply@y.test", ""),
    ("donotreply@y.test", ""),
    ("bounces+123@y.test", ""),
    *(
        ("anna@y.test", field)
        for field in [
            "Auto-Submitted: auto-replied",
            "Auto-Submitted: auto-generated; x=y",
            "auto-submitted: Auto-Notified",
            "Precedence: bulk",
            "Precedence: JUNK",
            "Precedence: list",
            "List-Id: <l.y.test>",
            "List-Unsubscribe: <mailto:x@y>",
            "List-Post: <mailto:x@y>",
            "Mailing-List: x",
            "Return-Path: <>",
            "X-Auto-Response-Suppress: All",
            "X-Auto-Response-Suppress: DR, OOF",
            "X-Auto-Response-Suppress: AutoReply",
            "X-Autoreply: yes",
            "X-Autorespond: x",
            "X-Loop: bot@x.test",
            "Feedback-ID: 1:2:3",
            "Content-Type: multipart/report; boundary=B",
            "Content-Type: message/delivery-status",
            "Content-Type: message/disposition-notification",
            "From: Other <other-bot@x.test>",
            "From: bot@x.test",
            "Reply-To: bot@x.test",
            "Reply-To: no-reply@y.test",
            "\n".join(["Received: from a by b"] * 31),
        ]
    ),
]


def raw(field):
    author = "" if field.startswith("From") else "From: anna@y.test\n"
    return f"{author}{field}\nMessage-ID: <{abs(hash(field))}@y>\nSubject: Re: s\n\nhello\n"


def reason(sender, field):
    mail = mime.parse(raw(field).encode())
    return guards.reason_not_to_answer(mail.header, sender, mail.reply_to, OWN, "bot@x.test")


@pytest.mark.parametrize(("sender", "field"), SILENT)
def test_a_mail_that_no_person_has_written_is_not_answered(sender, field):
    assert reason(sender, field)


@pytest.mark.parametrize(
    "field",
    [
        "Auto-Submitted: no",
        "Auto-Submitted: No (really)",
        "Precedence: first-class",
        "X-Auto-Response-Suppress: DR, RN",
        "X-Loop: somebody@else.test",
        "Return-Path: <anna@y.test>",
        "Reply-To: anna@z.test",
        "\n".join(["Received: from a by b"] * 10),
    ],
)
def test_a_mail_of_a_person_is_answered(field):
    assert reason("anna@y.test", field) == ""


async def test_none_of_them_is_answered_and_all_are_taken(serve):
    async with fakes.fake_smtp() as smtp:
        conf = {"email_port": 0, "email_address": "bot@x.test", "email_smtp_port": smtp.port}
        options = {"recipients": ["other-bot@x.test"], "limit_10_minutes": 0}
        async with serve(extensions=["fake_mail_bot"], email=options, **conf) as up:
            async with fakes.lmtp(up.port("email")) as client:
                for sender, field in SILENT:
                    assert await client.mail(raw(field), sender=sender) == ["250 2.0.0 OK"]
                await client.mail(raw("To: bot@x.test"))
                await up.bot.idle()
                assert [mail["To"] for mail in smtp.mails] == ["anna@y.test"]


async def test_two_bots_that_answer_each_other_stop(serve):
    """The other one is as bad as can be: no header says that it is a robot."""
    async with fakes.fake_smtp() as smtp:
        conf = {"email_port": 0, "email_address": "bot@x.test", "email_smtp_port": smtp.port}
        async with serve(extensions=["fake_mail_bot"], **conf) as up, fakes.lmtp(up.port("email")) as client:
            for n in range(30):
                await client.mail(
                    f"From: evil@y.test\nMessage-ID: <{n}@y>\nSubject: Re: s\n\nI am here\n", sender="evil@y.test"
                )
                await up.bot.idle()
            assert len(smtp.mails) == 10
            await client.mail("From: anna@y.test\n\nhello\n")
            assert len(await smtp.wait(11)) == 11


def test_a_loop_is_stopped_at_its_limit_and_goes_on_later():
    breaker = LoopBreaker([(3, 10.0), (5, 100.0)])
    for now in (0.0, 1.0, 2.0):
        assert not breaker.is_open("a", now)
        breaker.count("a", now)
    assert breaker.is_open("a", 9.9)
    assert not breaker.is_open("b", 9.9)
    assert not breaker.is_open("a", 10.1)
    breaker.count("a", 20.0)
    breaker.count("a", 40.0)
    assert breaker.is_open("a", 60.0)
    assert not breaker.is_open("a", 100.5)


def test_without_limits_nothing_is_stopped():
    breaker = LoopBreaker([])
    for _ in range(100):
        breaker.count("a", 0.0)
    assert not breaker.is_open("a", 0.0)


def test_what_was_silent_longest_is_forgotten():
    breaker = LoopBreaker([(1, 10.0)], most=2)
    for key in "abc":
        breaker.count(key, 0.0)
    assert [breaker.is_open(key, 1.0) for key in "abc"] == [False, True, True]


def test_a_bot_that_begins_a_thread_each_time_is_stopped_too():
    loops = BotLoops()
    for number in range(60):
        address = Address("slack", "T1", "C1", f"{number}", "B9")
        assert not loops.is_open(address, float(number))
        loops.count(address, float(number))
    assert loops.is_open(Address("slack", "T1", "C1", "new", "B9"), 60.0)
    assert not loops.is_open(Address("slack", "T1", "C2", "new", "B9"), 60.0)
    assert not loops.is_open(Address("slack", "T1", "C1", "new", "B8"), 60.0)
    assert not loops.is_open(Address("slack", "T1", "C1", "new", "B9"), 661.0)
