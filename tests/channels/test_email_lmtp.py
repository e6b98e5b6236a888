"""LMTP: a status for every recipient, 250 only for what is stored, whatever the client does."""

import asyncio
import importlib
import random
import sys
from pathlib import Path

import pytest

from zoozl.errors import StoreError

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
fakes = importlib.import_module("fake_smtp")

MAIL = "From: Anna <anna@y.test>\nSubject: Re: x\nMessage-ID: <{}@y.test>\n\n{}\n"


@pytest.fixture
async def smtp():
    async with fakes.fake_smtp() as smtp:
        yield smtp


@pytest.fixture
def mailbot(serve, smtp):
    """`async with mailbot() as up`: a bot that is bot@x.test and answers through `smtp`."""

    def make(**conf):
        given = {"email_port": 0, "email_address": "bot@x.test", "email_smtp_port": smtp.port, **conf}
        return serve(extensions=["fake_mail_bot"], **given)

    return make


async def test_each_accepted_recipient_has_its_own_reply_in_order(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        to = ["bot+a@x.test", "nobody@x.test", "BOT@X.test"]
        assert await client.mail(MAIL.format(1, "hello"), to=to) == ["250 2.0.0 OK"] * 2
        assert await client.mail(MAIL.format(2, "again")) == ["250 2.0.0 OK"]
        # Both recipients are the bot: each delivery is answered.
        assert len(await smtp.wait(3)) == 3


async def test_an_unknown_recipient_is_refused_at_once_and_alone_leaves_nothing_to_send(mailbot):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.say("MAIL FROM:<a@y.test>")
        assert (await client.say("RCPT TO:<bot@other.test>")).startswith("550 5.1.1")
        assert (await client.say("RCPT TO:<bo@x.test>")).startswith("550 5.1.1")
        assert (await client.say("DATA")).startswith("503")


async def test_what_lmtp_demands_is_advertised(mailbot):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        offered = await client.say("LHLO mx.test")
        for word in ("PIPELINING", "ENHANCEDSTATUSCODES", "8BITMIME", "SMTPUTF8", f"SIZE {25 << 20}"):
            assert word in offered
        assert offered.split("\n")[-1][3] == " "
        assert (await client.say("EHLO mx.test")).startswith("500")


async def test_a_mail_that_is_too_large_is_refused_for_every_recipient(mailbot, smtp):
    async with mailbot(email={"max_bytes": 10_000}) as up, fakes.lmtp(up.port("email")) as client:
        raw = MAIL.format(1, "x" * 50 + ("\n" + "y" * 70) * 1000)
        replies = await client.mail(raw, to=["bot@x.test", "bot+t@x.test"])
        assert [reply[:9] for reply in replies] == ["552 5.3.4"] * 2
        assert (await client.say("MAIL FROM:<a@y.test> SIZE=10001")).startswith("552")
        assert await client.mail(MAIL.format(2, "small")) == ["250 2.0.0 OK"]
        assert len(await smtp.wait(1)) == 1


async def test_a_line_of_any_length_is_taken(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        assert await client.mail(MAIL.format(1, "word " * 40_000)) == ["250 2.0.0 OK"]
        await smtp.wait(1)


async def test_pipelined_commands_are_answered_in_order_and_the_connection_goes_on(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        body = MAIL.format(1, "one").replace("\n", "\r\n")
        client.writer.write(b"MAIL FROM:<a@y.test>\r\nRCPT TO:<bot@x.test>\r\nRCPT TO:<no@x.test>\r\nDATA\r\n")
        assert [(await client.reply())[:3] for _ in range(4)] == ["250", "250", "550", "354"]
        # The next transaction comes in the same piece as the end of this one.
        second = MAIL.format(2, "two").replace("\n", "\r\n")
        client.writer.write(
            f"{body}\r\n.\r\nMAIL FROM:<a@y.test>\r\nRCPT TO:<bot@x.test>\r\nDATA\r\n{second}\r\n.\r\nQUIT\r\n".encode()
        )
        assert [(await client.reply())[:3] for _ in range(6)] == ["250", "250", "250", "354", "250", "221"]
        assert len(await smtp.wait(2)) == 2


@pytest.mark.parametrize(
    ("subject", "header"),
    [
        (b"Fwd", b"Subject: x\x0bFoo: y"),
        (b"Fwd", b"Subject: x\x0cFoo: y"),
        (b"Fwd", b"A: \xc3\xa9\x0b\x85Foo: y"),
        (b"Fwd\x0bFoo: y", b"Subject: x"),
        (b"=?utf-8?b?abcde?=", b"Subject: x"),
    ],
)
async def test_a_forwarded_mail_with_a_strange_header_is_taken_and_answered(mailbot, smtp, subject, header, caplog):
    inner = header + b"\r\n\r\nhello\r\n"
    raw = b"From: anna@y.test\r\nSubject: " + subject + b"\r\nMessage-ID: <1@y>\r\nContent-Type: message/rfc822\r\n\r\n"
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        assert await client.mail(raw + inner) == ["250 2.0.0 OK"]
        (answer,) = await smtp.wait(1)
    assert "|message/rfc822|" in answer.get_body().get_content()
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("seed", range(5))
async def test_a_mail_in_pieces_of_any_size_is_the_same_mail(mailbot, smtp, seed):
    text = ".\n..\n...\nend.\n.x\n\n.\nlast."
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        for line in ("MAIL FROM:<a@y.test>", "RCPT TO:<bot@x.test>", "DATA"):
            await client.say(line)
        raw = MAIL.format(1, text).replace("\n", "\r\n").replace("\r\n.", "\r\n..").encode() + b"\r\n.\r\n"
        chance = random.Random(seed)
        while raw:
            size = chance.randint(1, 7)
            client.writer.write(raw[:size])
            await client.writer.drain()
            raw = raw[size:]
        assert await client.reply() == "250 2.0.0 OK"
        (mail,) = await smtp.wait(1)
        assert f"[{text}]" in mail.get_body(("plain",)).get_content().replace("\r\n", "\n")


async def test_a_lone_dot_with_bare_line_feeds_ends_no_mail(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        for line in ("MAIL FROM:<a@y.test>", "RCPT TO:<bot@x.test>", "DATA"):
            await client.say(line)
        smuggled = b"From: anna@y.test\r\nMessage-ID: <1@y>\r\n\r\none\n.\nMAIL FROM:<evil@y.test>\r\n.\n"
        client.writer.write(smuggled + b"\r\n.\r\n")
        assert await client.reply() == "250 2.0.0 OK"
        assert len(await smtp.wait(1)) == 1
        assert smtp.envelopes == [("<>", ["anna@y.test"])]


async def test_an_empty_mail_is_taken_and_nobody_is_answered(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        for line in ("MAIL FROM:<a@y.test>", "RCPT TO:<bot@x.test>", "DATA"):
            await client.say(line)
        assert await client.say(".") == "250 2.0.0 OK"
        await client.mail(MAIL.format(1, "x"))
        assert len(await smtp.wait(1)) == 1


async def test_a_mail_that_comes_twice_is_answered_once(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        for _ in range(3):
            assert await client.mail(MAIL.format(1, "hello")) == ["250 2.0.0 OK"]
        # Without a Message-ID as well; and the same id from somebody else suppresses nothing.
        for _ in range(2):
            await client.mail("From: anna@y.test\n\nno id\n")
        await client.mail(MAIL.format(1, "hello"), sender="mallory@z.test")
        await client.mail(MAIL.format(9, "end"))
        await up.bot.idle()
        assert len(smtp.mails) == 4


async def test_a_full_lane_is_a_temporary_failure_for_that_recipient(mailbot, smtp):
    async with mailbot(lane_depth=1, email={"limit_10_minutes": 0}) as up:
        async with fakes.lmtp(up.port("email")) as client:
            slow = [await client.mail(MAIL.format(n, "/slow")) for n in range(4)]
            assert ["452 4.3.1 Too much to do, try again later"] in slow
            assert slow[0] == ["250 2.0.0 OK"]
            refused = slow.index(["452 4.3.1 Too much to do, try again later"])
            await up.bot.idle()
            # Nothing was taken then, so the mail server's next try counts.
            before = len(smtp.mails)
            assert await client.mail(MAIL.format(refused, "/slow")) == ["250 2.0.0 OK"]
            await smtp.wait(before + 1)


async def test_a_store_that_fails_is_a_temporary_failure_and_nothing_is_answered(mailbot, smtp, tmp_path):
    class Receipt:
        duplicate = False

        async def acknowledged(self):
            raise StoreError("the disk is full")

    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(MAIL.format(1, "hello"))
        await smtp.wait(1)
        channel = up.channels["email"]
        assert await channel._status(Receipt()) == "451 4.3.0 Temporary failure, try again later"


async def test_a_stopped_bot_refuses_for_now(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await up.bot.drain(5)
        assert (await client.mail(MAIL.format(1, "hello")))[0][:3] in ("452", "451")
        assert smtp.mails == []


async def test_too_many_connections_are_sent_away(mailbot):
    async with mailbot(email={"max_connections": 1}) as up, fakes.lmtp(up.port("email")) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", up.port("email"))
        assert (await reader.readline()).startswith(b"421 4.3.2")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert await client.mail(MAIL.format(1, "hello")) == ["250 2.0.0 OK"]


async def test_too_many_recipients_are_told_to_come_back(mailbot):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.say("MAIL FROM:<a@y.test>")
        replies = [await client.say(f"RCPT TO:<bot+{n}@x.test>") for n in range(101)]
        assert replies[99].startswith("250")
        assert replies[100].startswith("452")


async def test_garbage_ends_nothing_but_its_connection(mailbot, smtp):
    chance = random.Random(7)
    words = [
        b"LHLO x",
        b"MAIL FROM:<>",
        b"MAIL FROM:<a@b> SIZE=x",
        b"RCPT TO:<bot@x.test>",
        b"DATA",
        b".",
        b"RSET",
        b"VRFY",
        b"\xff\xfe",
        b"AUTH PLAIN",
        b"STARTTLS",
        b"BDAT 1",
    ]
    async with mailbot() as up:
        for _ in range(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", up.port("email"))
            lines = [chance.choice(words) + chance.randbytes(chance.randint(0, 5)) for _ in range(20)]
            writer.write(b"\r\n".join(lines) + b"\r\n.\r\nQUIT\r\n.\r\nQUIT\r\n")
            writer.write_eof()
            while await asyncio.wait_for(reader.read(4096), 10):
                pass
            writer.close()
            await writer.wait_closed()
        async with fakes.lmtp(up.port("email")) as client:
            assert await client.mail(MAIL.format(1, "hello")) == ["250 2.0.0 OK"]
        await smtp.wait(1)
