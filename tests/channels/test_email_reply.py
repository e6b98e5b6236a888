"""Replies: one mail a turn, in its thread, with its files; a dialog goes on by mail."""

import asyncio
import importlib
import re
import sys
from pathlib import Path

import pytest

from zoozl.channels.email import mime
from zoozl.channels.email.compose import Envelope, compose
from zoozl.channels.email.threads import Threads
from zoozl.chatbot import Message, MessagePart
from zoozl.chatbot.message import Address

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
fakes = importlib.import_module("fake_smtp")


@pytest.fixture
async def smtp():
    async with fakes.fake_smtp() as smtp:
        yield smtp


@pytest.fixture
def mailbot(serve, smtp):
    def make(**conf):
        given = {
            "email_port": 0,
            "email_address": "bot@x.test",
            "email_smtp_port": smtp.port,
            "author": "Zoozl",
            **conf,
        }
        return serve(extensions=["fake_mail_bot"], **given)

    return make


def written(text, number, subject="Lunch", **fields):
    more = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in fields.items())
    return f"From: Anna <Anna@y.test>\nSubject: {subject}\nMessage-ID: <{number}@y.test>\n{more}\n{text}\n"


def plain(mail):
    return mail.get_body(("plain",)).get_content().replace("\r\n", "\n").strip()


async def test_a_reply_stands_in_the_thread_of_the_mail_that_it_answers(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(
            written("hi", 3, "AW: Re: Lunch", In_Reply_To="<2@y.test>", References="<1@y.test> <2@y.test>")
        )
        (mail,) = await smtp.wait(1)
    assert mail["Subject"] == "Re: Lunch"
    assert mail["In-Reply-To"] == "<3@y.test>"
    assert mail["References"] == "<1@y.test> <2@y.test> <3@y.test>"
    assert mail["From"] == "Zoozl <bot@x.test>"
    assert mail["To"] == "Anna <Anna@y.test>"
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert re.fullmatch(r"Zoozl <bot\+[a-z2-7]{12}\.[a-z2-7]{10}@x\.test>", mail["Reply-To"])
    assert mail["Date"]
    assert mail["Message-ID"].endswith("@x.test>")
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert smtp.envelopes == [("<>", ["Anna@y.test"])]


async def test_without_an_id_there_is_nothing_to_refer_to(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail("From: anna@y.test\nSubject: x\n\nhi\n")
        (mail,) = await smtp.wait(1)
    assert mail["In-Reply-To"] is None
    assert mail["References"] is None
    assert mail["Subject"] == "Re: x"


async def test_a_bounce_address_is_the_envelope_sender(mailbot, smtp):
    async with mailbot(email={"bounce_address": "bounces@x.test"}) as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("hi", 1))
        await smtp.wait(1)
    assert smtp.envelopes == [("bounces@x.test", ["Anna@y.test"])]


async def test_all_replies_of_a_turn_are_one_mail_also_when_it_takes_long(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("/slow", 1))
        (mail,) = await smtp.wait(1)
        await up.bot.idle()
    assert plain(mail) == "Looking.\n\nFound it."
    assert len(smtp.mails) == 1


async def test_what_a_slow_turn_had_said_before_a_kill_comes_once_with_the_rest(mailbot, smtp, tmp_path, monkeypatch):
    store = f"sqlite:///{tmp_path / 'z.db'}"
    async with mailbot(store=store, shutdown_timeout=0) as up:
        async with fakes.lmtp(up.port("email")) as client:
            await client.mail(written("/slow", 1))
        async with asyncio.timeout(10):
            # Until the first reply is recorded.
            while not await up.bot.root.store.undelivered():
                await asyncio.sleep(0.01)
        assert smtp.mails == []
    async with mailbot(store=store):
        (mail,) = await smtp.wait(1)
    assert plain(mail) == "Looking.\n\nFound it."
    assert mail["Subject"] == "Re: Lunch"
    assert mail["In-Reply-To"] == "<1@y.test>"


async def test_files_go_along(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("/file", 1))
        (mail,) = await smtp.wait(1)
    (file,) = mail.iter_attachments()
    assert (file.get_filename(), file.get_content_type(), file.get_content()) == (
        "naïve.pdf",
        "application/pdf",
        b"%PDF",
    )
    assert plain(mail) == "Here it *is*."
    assert "<em>is</em>" in mail.get_body(("html",)).get_content()


async def test_files_reach_the_plugin(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        raw = (
            "From: anna@y.test\nSubject: Re: x\nContent-Type: multipart/mixed; boundary=B\n\n--B\n\nsee\n"
            "--B\nContent-Type: image/png; name=a.png\nContent-Transfer-Encoding: base64\n\niVBORw==\n--B--\n"
        )
        await client.mail(raw)
        (mail,) = await smtp.wait(1)
    assert "a.png|image/png|4" in plain(mail)


async def test_the_subject_is_part_of_a_first_mail_only(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("where is it?", 1, "My parcel"))
        await client.mail(written("and now?", 2, "Re: My parcel"))
        await client.mail(written("", 3, "Only this"))
        mails = [plain(mail) for mail in await smtp.wait(3)]
    assert "[My parcel where is it?]" in mails[0]
    assert "[and now?]" in mails[1]
    assert "[Only this]" in mails[2]


async def test_a_dialog_goes_on_by_mail(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("/pizza", 1))
        asked = (await smtp.wait(1))[0]
        assert "1. Margherita\n2. Diavolo" in plain(asked)
        quoted = "\n".join(f"> {line}" for line in plain(asked).split("\n"))
        answer = f"Hi,\n\n2\n\nBest,\nAnna\n\nOn Mon, 3 Nov 2025 at 10:00, Zoozl <bot@x.test> wrote:\n{quoted}"
        await client.mail(written(answer, 2, "Re: Lunch", In_Reply_To=asked["Message-ID"]))
        sure = (await smtp.wait(2))[1]
        assert plain(sure).startswith("Good choice: Diavolo.\n\nShall I order it? (yes/no)")
        assert sure["References"].split() == [asked["Message-ID"], "<2@y.test>"]
        await client.mail(written("yes\n\nSent from my iPhone", 3, "Re: Lunch"))
        assert plain((await smtp.wait(3))[2]) == "It is on its way."


async def test_each_choice_is_a_link_that_writes_the_answer(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("/pizza", 1))
        (asked,) = await smtp.wait(1)
        html = asked.get_body(("html",)).get_content()
        link = re.search(r'href="mailto:([^?]+)\?subject=([^&]+)&amp;body=Quattro%20stagioni"', html)
        assert link
        await client.mail(written("Quattro stagioni", 2, "Re: Lunch"), to=[link[1]])
        assert plain((await smtp.wait(2))[1]).startswith("Good choice: Quattro stagioni.")


async def test_of_two_open_questions_the_one_of_the_thread_is_answered(mailbot, smtp):
    """Two dialogs are open in one conversation: the plugin was asked for twice, by a command."""
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("/pizza", 1, "For Anna"))
        await smtp.wait(1)
        await client.mail(written("/pizza", 2, "For Bob"))
        first, second = await smtp.wait(2)
        await client.mail(written("1", 3, "Re: For Anna", In_Reply_To=first["Message-ID"]))
        await client.mail(written("2", 4, "Re: For Bob", References=second["Message-ID"]))
        mails = await smtp.wait(4)
    assert [(mail["Subject"], plain(mail).split("\n")[0]) for mail in mails[2:]] == [
        ("Re: For Anna", "Good choice: Margherita."),
        ("Re: For Bob", "Good choice: Diavolo."),
    ]


async def test_with_scope_thread_each_thread_is_a_conversation(mailbot, smtp):
    async with mailbot(email={"scope": "thread"}) as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("/pizza", 1))
        (asked,) = await smtp.wait(1)
        # Another thread knows nothing of the question.
        await client.mail(written("2", 2, "Re: Other"))
        assert "[2]" in plain((await smtp.wait(2))[1])
        tagged = re.search(r"<(.*)>", asked["Reply-To"])[1]
        await client.mail(written("2", 3, "Re: Lunch"), to=[tagged])
        assert plain((await smtp.wait(3))[2]).startswith("Good choice: Diavolo.")


async def test_somebody_else_does_not_answer_for_the_one_who_was_asked(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("/pizza", 1))
        (asked,) = await smtp.wait(1)
        raw = f"From: mallory@z.test\nSubject: Re: Lunch\nIn-Reply-To: {asked['Message-ID']}\n\n2\n"
        await client.mail(raw, sender="mallory@z.test")
        other = (await smtp.wait(2))[1]
        assert other["To"] == "mallory@z.test"
        assert "[2] by mallory@z.test" in plain(other)


async def test_an_answer_to_elsewhere_is_the_conversation_of_elsewhere(mailbot, smtp):
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("/pizza", 1))
        await smtp.wait(1)
        await client.mail(written("2", 2, "Re: Lunch", Reply_To="mallory@z.test"))
        other = (await smtp.wait(2))[1]
        assert other["To"] == "Anna <mallory@z.test>" or other["To"] == "mallory@z.test"
        assert "Good choice" not in plain(other)


async def test_a_temporary_refusal_is_tried_again_with_the_same_id(mailbot, smtp):
    smtp.answers = ["451 4.3.0 later", "RCPT 450 4.2.1 greylisted"]
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("/file", 1))
        mails = await smtp.wait(2)
        await up.bot.idle()
    assert len(mails) == 2
    assert mails[0]["Message-ID"] == mails[1]["Message-ID"]
    assert len(list(mails[1].iter_attachments())) == 1


async def test_a_refusal_for_good_is_not_tried_again(mailbot, smtp):
    smtp.answers = ["RCPT 550 5.1.1 unknown"]
    async with mailbot() as up, fakes.lmtp(up.port("email")) as client:
        await client.mail(written("hi", 1))
        await up.bot.idle()
        assert smtp.mails == []
        assert smtp.commands == ["RCPT"]
        await client.mail(written("again", 2))
        await smtp.wait(1)


async def test_an_address_that_bounces_gets_nothing_until_it_writes_again(mailbot, smtp):
    async with mailbot(email={"bounce_address": "b@x.test"}) as up, fakes.lmtp(up.port("email")) as client:

        async def report(message_id):
            raw = (
                "From: MAILER-DAEMON@y.test\nContent-Type: multipart/report; report-type=delivery-status; boundary=B\n\n--B\n\nx\n"
                "--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns;y\n\nFinal-Recipient: rfc822;anna@y.test\n"
                f"Action: failed\nStatus: 5.1.1\n\n--B\nContent-Type: text/rfc822-headers\n\nMessage-ID: {message_id}\n\n--B--\n"
            )
            assert await client.mail(raw, sender="", to=["b@x.test"]) == ["250 2.0.0 OK"]

        await client.mail(written("hi", 1))
        (mail,) = await smtp.wait(1)
        address = Address("email", "bot@x.test", "", "", "anna@y.test")
        await report("<forged.1.abc@x.test>")
        up.bot.tell(address, "still there")
        await smtp.wait(2)
        await report(mail["Message-ID"])
        up.bot.tell(address, "gone")
        await up.bot.idle()
        assert len(smtp.mails) == 2
        await client.mail(written("I am back", 2))
        await smtp.wait(3)


async def test_what_the_bot_says_by_itself_can_be_answered(mailbot, smtp):
    async with mailbot() as up:
        up.bot.tell(Address("email", "bot@x.test", "", "", "anna@y.test"), "Good morning")
        (mail,) = await smtp.wait(1)
    assert (mail["Subject"], mail["Auto-Submitted"]) == ("A message for you", "auto-generated")
    assert "+" in mail["Reply-To"]


def built(replies, **changed):
    envelope = Envelope(
        **{"message_id": "<1@y>", "references": ("<1@y>",), "subject": "s", "to": "a@y.test", **changed}
    )
    options = {"sender": "bot@x.test", "answer_to": "bot@x.test", "to": "a@y.test", "message_id": "<m@x.test>"}
    return compose(replies, envelope, loop_id="bot@x.test", subject="News", largest=100_000, **options)


@pytest.mark.parametrize(
    "evil",
    [
        "x\r\nBcc: victim@z.test",
        "x\nBcc: victim@z.test",
        "x\rBcc: v@z",
        "x\u2028Bcc: v@z",
        "=?utf-8?Q?x=0D=0ABcc:_victim@z.test?=",
    ],
)
def test_no_header_comes_in_by_the_subject_or_a_name(evil):
    file = MessagePart(binary=b"x", filename=evil)
    raw = built([Message([MessagePart("x"), file], evil)], subject=evil, to_name=evil).as_bytes()
    assert b"\nBcc" not in raw
    assert b"\rBcc" not in raw


def test_nothing_that_looks_like_an_encoded_word_is_kept_of_ids_and_addresses():
    word = "=?utf-8?Q?x=0D=0ABcc:_v?="
    mail = mime.parse(
        f"From: {word}@y.test\nReply-To: <{word}@y.test>\nReferences: <{word}@y> <2@y>\nMessage-ID: <{word}@y>\n\nx".encode()
    )
    assert (mail.message_id, mail.references) == ("", ("<2@y>",))
    assert "=?" not in mail.author + mail.reply_to


def test_a_file_that_is_too_large_is_left_out_and_the_mail_says_so():
    small = MessagePart(binary=b"x" * 100, filename="small.txt", media_type="text/plain")
    large = MessagePart(binary=b"x" * 90_000, filename="../large.bin")
    mail = built([Message([MessagePart("see"), large, small])])
    assert [part.get_filename() for part in mail.iter_attachments()] == ["small.txt"]
    assert "[large.bin is left out: it is too large for a mail.]" in mail.get_body(("plain",)).get_content()


def test_half_a_surrogate_pair_and_odd_types_are_sent():
    odd = MessagePart(binary=b"x", filename="a\ud800.eml", media_type="message/rfc822")
    assert built([Message([MessagePart("x\ud800y"), odd], "Zo\ud800ozl")]).as_bytes()


def test_references_keep_the_first_and_the_last_ones():
    references = tuple(f"<{n}.{'x' * 60}@y.test>" for n in range(50))
    mail = mime.parse(f"From: a@y.test\nMessage-ID: <own@y>\nReferences: {' '.join(references)}\n\nx".encode())
    kept = Envelope.of(mail).references
    assert kept[0] == references[0]
    assert kept[-2:] == (references[-1], "<own@y>")
    assert len(" ".join(kept)) <= 900


def test_a_thread_is_found_by_tag_then_answer_then_references():
    threads = Threads(b"k" * 32)
    a, b, c = (threads.begun_by(x) for x in "abc")
    ids = [threads.message_id(thread, "1", "anna@y", "x.test") for thread in (a, b, c)]
    assert threads.find(threads.tag(a), [ids[1]], [ids[2]], "<new>", "anna@y") == a
    assert threads.find(threads.tag(a).upper(), [], [], "<new>", "anna@y") == a
    assert threads.find("", [ids[1]], [ids[2]], "<new>", "anna@y") == b
    assert threads.find("", ["<foreign>"], [ids[2], ids[0], "<foreign>"], "<new>", "anna@y") == a
    # Made for somebody else, or by somebody else: it is a thread of its own, the same for all mails of it.
    assert threads.find("", [ids[1]], [], "<new>", "mallory@z") not in (a, b, c)
    assert threads.find(f"{a}.{'a' * 10}", [], [], "<new>", "x") == threads.begun_by("<new>")
    assert threads.find("", ["<1>"], ["<root>", "<1>"], "<2>", "x") == threads.find("", [], [], "<root>", "x")
    assert Threads(b"other").of_tag(threads.tag(a)) == ""
    assert len(f"a-rather-long-name-of-a-bot+{threads.tag(a)}") <= 64
