"""LMTP sessions of chance against the real listener: no traceback, no hang, nothing that stays behind.

ZOOZL_TEST_FUZZ says how many (with many of them give pytest a longer --timeout as well).
"""

import asyncio
import gc
import importlib
import logging
import os
import random
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import given, settings
from hypothesis import strategies as st

from zoozl.channels.email.lmtp import Connection

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
fakes = importlib.import_module("fake_smtp")

SESSIONS = int(os.environ.get("ZOOZL_TEST_FUZZ", "0")) or 400
AT_ONCE = 20
REPLY = re.compile(rb"[2345]\d\d[ -][\x20-\x7e]*")
ADDRESSES = [
    b"<bot@x.test>",
    b"<bot+a.b@x.test>",
    b"<nobody@x.test>",
    b"<>",
    b"<a@y.test>",
    b"bot@x.test",
    b"<",
    b"<<>",
]
ADDRESSES += [b"<\xc3\xa9@y.test>", b"<\xff\xfe@x.test>", b'<"a b"@y.test>', b"<@r.test:bot@x.test>", b"<" + b"a" * 300]
ADDRESSES += [b"<a@[192.0.2.1]>", b"<a@y.test", b"a@y.test>", b"<a\x00b@y.test>", b" <bot@x.test> ", b"(c)<bot@x.test>"]
ADDRESSES += [b"<a@[>"]
PARAMETERS = [b"", b"", b"", b" SIZE=10", b" SIZE=99999999999", b" SIZE=-1", b" SIZE=x", b" BODY=8BITMIME", b" BODY=x"]
PARAMETERS += [b" SMTPUTF8", b" SMTPUTF8=1", b" RET=FULL", b" =", b" ==", b" \x00", b" NOTIFY=NEVER ORCPT=rfc822;a"]
PLAIN = [b"RSET", b"NOOP", b"NOOP x", b"VRFY a", b"VRFY", b"EXPN x", b"HELP", b"HELP DATA", b"QUIT", b"STARTTLS"]
PLAIN += [b"AUTH PLAIN", b"AUTH LOGIN AAAA", b"HELO x", b"EHLO x", b"LHLO", b"LHLO x y", b"BDAT 5 LAST", b"XCLIENT A=b"]
PLAIN += [b"", b" ", b".", b"\x00", b"\xff\xfe\xfd", b"DATA x", b"\tDATA", b"=", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2"]
WORDS = [b"From: a@y.test", b"Subject: x", b"Message-ID: <1@y>", b"", b".", b"..", b"...x", b"hello", b"\xff\x00\xfe"]
WORDS += [b"Content-Type: multipart/mixed; boundary=B", b"--B", b"--B--", b"x" * 1_200, b" folded", b"To: bot@x.test"]
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"", b"\r\r\n", b"\n\r\n"]


# Most of them usual ones, some with something in them that is not.
ATOMS = st.sampled_from(
    ["a", "anna", "o'hara", "a+b", "x-1", "bot+abc.def", "y.test", "[192.0.2.1]", "é", "a..b", '"a b"']
)
ARGUMENTS = st.tuples(
    st.sampled_from(["<", "<", "", " <", "<<", "< ", "<@r:"]),
    ATOMS | st.text(st.characters(max_codepoint=255), max_size=5),
    st.sampled_from(["@", "@", "", "@@", " @"]),
    ATOMS | st.text(st.characters(max_codepoint=255), max_size=5),
    st.sampled_from([">", ">", "", ">>", " >", ".>"]),
    st.sampled_from(["", " SIZE=10", "SIZE=1", " (c) SIZE=1", "  SIZE=1", " SIZE=1 BODY=8BITMIME", " é", " "])
    | st.text(st.characters(max_codepoint=255), max_size=5),
).map("".join)


@settings(max_examples=SESSIONS, deadline=None)
@given(ARGUMENTS)
def test_addresses_are_read_as_by_the_library(argument):
    # Nothing of a connection is needed for that.
    connection = object.__new__(Connection)
    try:
        theirs = SMTP._getaddr(connection, argument)
    except (IndexError, AttributeError):
        theirs = None, None
    assert connection._getaddr(argument) == theirs


def command(chance):
    """One line, or one that is not quite one."""
    roll = chance.random()
    if roll < 0.45:
        verb = chance.choice([b"MAIL FROM:", b"RCPT TO:", b"MAIL FROM: ", b"rcpt to:", b"MAIL", b"RCPT FROM:"])
        line = verb + chance.choice(ADDRESSES) + chance.choice(PARAMETERS)
    elif roll < 0.6:
        return b"DATA\r\n" + content(chance)
    elif roll < 0.95:
        line = chance.choice(PLAIN)
    elif roll < 0.98:
        line = chance.randbytes(chance.randrange(40))
    else:
        # A verb of one's own, or an endless line.
        line = chance.randbytes(8).hex().encode() * chance.choice([1, 40, 5_000]) + b" x"
    if chance.random() < 0.1:
        line = line.swapcase()
    return line + chance.choice(ENDS)


def content(chance):
    """A mail, whose end may be missing."""
    lines = [chance.choice(WORDS) + chance.choice(ENDS) for _ in range(chance.randrange(12))]
    if chance.random() < 0.05:
        lines.append(b"y" * 30_000)
    return b"".join(lines) + (b"\r\n.\r\n" if chance.random() < 0.8 else b"")


def session(chance):
    """All that a client says, cut off anywhere."""
    begin = b"LHLO x\r\n" if chance.random() < 0.9 else b""
    if chance.random() < 0.3:
        begin += b"MAIL FROM:<a@y.test>\r\nRCPT TO:<bot@x.test>\r\nRCPT TO:<bot+t@x.test>\r\nDATA\r\n" + content(chance)
    said = begin + b"".join(command(chance) for _ in range(chance.randrange(15)))
    return said[: chance.randrange(len(said) + 1)] if chance.random() < 0.5 else said


async def talk(port, chance):
    """Have a session; all that was answered, None if it was broken off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = session(chance)
    try:
        while said:
            size = chance.choice([1, 7, 100, 5_000, len(said)])
            writer.write(said[:size])
            said = said[size:]
            if chance.random() < 0.3:
                await writer.drain()
                await asyncio.sleep(0)
            if size < 5 and len(said) > 200:
                writer.write(said[:200])
                said = said[200:]
        end = chance.random()
        if end < 0.2:
            writer.transport.abort()
            return None
        if end < 0.4:
            return None
        writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except (ConnectionError, OSError):
        return None
    finally:
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            pass  # reset by the server, which may do that


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Runs a coroutine. The server itself is on uvloop where there is one, whose connections are not quite the same."""
    factory = asyncio.new_event_loop if request.param == "asyncio" else pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner.run


def test_who_is_gone_at_once_leaves_no_connection_behind(serve, run):
    run(_who_is_gone_at_once(serve))


async def _who_is_gone_at_once(serve):
    async with serve(extensions=["fake_mail_bot"], email_port=0, email_address="bot@x.test") as up:
        connections = up.channels["email"]._connections
        for _ in range(50):
            _, writer = await asyncio.open_connection("127.0.0.1", up.port("email"))
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(10):
            while connections:
                await asyncio.sleep(0.01)


def test_one_connection_too_many_is_told_to_come_back_later(serve, run):
    run(_one_too_many(serve))


async def _one_too_many(serve):
    conf = {"email_port": 0, "email_address": "bot@x.test", "email": {"max_connections": 1}}
    async with serve(extensions=["fake_mail_bot"], **conf) as up, fakes.lmtp(up.port("email")):
        reader, writer = await asyncio.open_connection("127.0.0.1", up.port("email"))
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"421 4.3.2")
        writer.close()
        await writer.wait_closed()


def test_sessions_of_chance_harm_nobody(serve, run, caplog):
    run(_sessions(serve, caplog))


async def _sessions(serve, caplog):
    problems = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
    known = len(SMTP.command_size_limits)
    conf = {"email_port": 0, "email_address": "bot@x.test", "email": {"max_bytes": 20_000}}
    replies = Counter()
    async with (
        fakes.fake_smtp() as smtp,
        serve(extensions=["fake_mail_bot"], email_smtp_port=smtp.port, **conf) as up,
    ):
        port, connections = up.port("email"), up.channels["email"]._connections
        seeds = iter(range(SESSIONS))

        async def one_after_the_other():
            for seed in seeds:
                answered = await talk(port, random.Random(seed))
                if answered is None:
                    continue
                lines = answered.split(b"\r\n")
                # The last one may have been on its way when the session ended.
                wrong = [line for line in lines[:-1] if not REPLY.fullmatch(line)]
                assert not wrong, (seed, wrong)
                replies.update(line[:3] for line in lines[:-1])

        await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
        async with asyncio.timeout(20):
            while connections:
                await asyncio.sleep(0.01)
        async with fakes.lmtp(port) as client:
            mail = "From: Zoe <zoe@y.test>\nMessage-ID: <last@y>\n\nhello\n"
            assert await client.mail(mail, sender="zoe@y.test") == ["250 2.0.0 OK"]
        async with asyncio.timeout(30):
            while not any(to == ["zoe@y.test"] for _, to in smtp.envelopes):
                await asyncio.sleep(0.01)
        await up.bot.idle()
    gc.collect()
    assert problems == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert "Traceback" not in caplog.text
    # All kinds were tried.
    assert {b"220", b"250", b"354", b"500", b"501", b"503", b"550", b"552"} <= set(replies), replies
    # What they have said is not kept in aiosmtpd's class, for all connections; the other side's few commands are.
    assert len(SMTP.command_size_limits) <= known + 10
