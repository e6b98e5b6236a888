"""Files with Slack: fetched from Slack only, within bounds; sent in three steps."""

import sys
from functools import partial
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "fakes"))

from fake_slack import TOKEN, fake_slack, slack_bot


@pytest.fixture
async def slack():
    async with fake_slack() as slack:
        yield slack


@pytest.fixture
def bot(serve, slack):
    return partial(slack_bot, serve, slack)


def file(slack, name="note.txt", body=b"content", media_type="text/plain", answer=None, **more):
    """A file of a message, which the fake keeps."""
    slack.files[f"/files/{name}"] = answer or (200, {"Content-Type": media_type}, body)
    url = f"{slack.url}/files/{name}"
    return {"id": f"F{name[:3]}", "name": name, "mimetype": media_type, "size": len(body), "url_private": url, **more}


def with_files(*files):
    return {"subtype": "file_share", "files": list(files)}


async def test_a_file_comes_and_goes(bot, slack):
    async with bot() as talk:
        assert await talk.say("look", **with_files(file(slack))) == 200
        await slack.until(lambda: slack.said("files.completeUploadExternal"))
        assert [said["text"] for said in slack.said()] == ["echo look"]
        (step_one,) = slack.said("files.getUploadURLExternal")
        assert (step_one["filename"], step_one["length"]) == ("note.txt", "7")
        (step_three,) = slack.said("files.completeUploadExternal")
        assert step_three["channel_id"] == "D1"
        assert list(slack.uploads.values()) == [b"content"]
        assert slack.file_tokens == [f"Bearer {TOKEN}"]


async def test_a_large_file_is_sent_whole(bot, slack):
    body = bytes(range(256)) * (12 << 10)
    async with bot() as talk:
        await talk.say("look", **with_files(file(slack, body=body)))
        await slack.until(lambda: slack.said("files.completeUploadExternal"))
        assert list(slack.uploads.values()) == [body]


async def test_a_file_without_words_is_a_message(bot, slack):
    async with bot() as talk:
        await talk.say("", **with_files(file(slack)), thread_ts="1700000001.1")
        await slack.until(lambda: slack.said("files.completeUploadExternal"))
        assert slack.said("files.completeUploadExternal")[0]["thread_ts"] == "1700000001.1"


async def test_a_login_page_is_no_file(bot, slack):
    page = (200, {"Content-Type": "text/html"}, b"<html>log in</html>")
    async with bot() as talk:
        await talk.say("look", **with_files(file(slack, answer=page)))
        said = await slack.next_said(2)
        assert {one["text"] for one in said} == {"echo look", "note.txt: Slack does not give it to me"}
        assert not slack.uploads


async def test_the_token_goes_to_no_foreign_host(bot, slack):
    foreign = slack.url.replace("127.0.0.1", "localhost")
    async with bot() as talk:
        await talk.say("look", **with_files(file(slack, url_private=f"{foreign}/files/note.txt")))
        said = await slack.next_said(2)
        assert any("not kept by Slack" in one["text"] for one in said)
        assert not slack.file_tokens


async def test_the_token_follows_no_redirect_to_a_foreign_host(bot, slack):
    foreign = slack.url.replace("127.0.0.1", "localhost")
    away = (302, {"Location": f"{foreign}/files/other.txt"}, b"")
    async with bot() as talk:
        await talk.say("look", **with_files(file(slack, answer=away)))
        said = await slack.next_said(2)
        assert any("not kept by Slack" in one["text"] for one in said)
        assert slack.file_tokens == [f"Bearer {TOKEN}"]


async def test_a_redirect_within_slack_is_followed(bot, slack):
    there = file(slack, name="there.txt")
    away = (302, {"Location": there["url_private"]}, b"")
    async with bot() as talk:
        await talk.say("look", **with_files(file(slack, name="here.txt", answer=away)))
        await slack.until(lambda: slack.uploads)
        assert list(slack.uploads.values()) == [b"content"]


@pytest.mark.parametrize(
    ("options", "why"),
    [({"max_file_bytes": 6}, "too large"), ({"max_file_bytes": 0}, "no files"), ({"file_types": ["image/*"]}, "kind")],
)
async def test_what_is_not_wanted_is_not_fetched_and_said(bot, slack, options, why):
    async with bot(**options) as talk:
        await talk.say("look", **with_files(file(slack)))
        said = await slack.next_said(2)
        assert any(why in one["text"] for one in said)
        assert not slack.file_tokens


async def test_a_file_that_lies_about_its_size_is_cut_off(bot, slack):
    async with bot(max_file_bytes=10) as talk:
        await talk.say("look", **with_files(file(slack, body=b"x" * 1000, size=5)))
        said = await slack.next_said(2)
        assert any("too large" in one["text"] for one in said)


async def test_a_file_that_is_not_there_yet_makes_slack_come_again(bot, slack):
    async with bot() as talk:
        broken = file(slack, answer=(503, {}, b""))
        event = talk.event("look", **with_files(broken))
        assert await talk.send(event) == 503
        file(slack)
        assert await talk.send(event, {"X-Slack-Retry-Num": "1"}) == 200
        await slack.until(lambda: slack.uploads)
        assert [said["text"] for said in slack.said()] == ["echo look"]


async def test_at_the_last_try_a_message_comes_without_its_file(bot, slack):
    async with bot() as talk:
        event = talk.event("look", **with_files(file(slack, answer=(503, {}, b""))))
        assert await talk.send(event, {"X-Slack-Retry-Num": "3"}) == 200
        said = await slack.next_said(2)
        assert {one["text"] for one in said} == {"echo look", "note.txt: it could not be fetched"}


async def test_a_file_that_fails_to_go_out_is_tried_again_and_the_words_are_not(bot, slack):
    async with bot() as talk:
        slack.refuse("files.completeUploadExternal", "internal_error")
        await talk.say("look", **with_files(file(slack)))
        await slack.until(lambda: len(slack.said("files.completeUploadExternal")) == 2)
        assert [said["text"] for said in slack.said()] == ["echo look"]


def test_a_file_name_is_only_a_name():
    from zoozl.channels.slack.files import safe_name

    assert safe_name("../../etc/passwd") == "passwd"
    assert safe_name("C:\\temp\\a\x00b\n.txt") == "ab.txt"
    assert safe_name("..") == ""


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://files.slack.com/files-pri/T1-F1/x", True),
        ("https://files.slack.com.evil.org/x", False),
        ("https://evilslack.com/x", False),
        ("http://files.slack.com/x", False),
        ("https://files.slack.com:8443/x", False),
        ("https://user@evil.org/.slack.com", False),
        ("https://[::1", False),
        ("", False),
    ],
)
def test_only_slack_gets_the_token(url, good):
    from zoozl.channels.slack.files import trusted

    assert trusted(url, "https://slack.com/api/") is good
