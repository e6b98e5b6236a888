"""E-mail through a real postfix, in front of the bot and behind it; needs root, postfix and swaks."""

import asyncio
import importlib
import os
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

FAKES = str(Path(__file__).parents[1] / "fakes")
sys.path.insert(0, FAKES)
fakes = importlib.import_module("fake_smtp")

POSTFIX, SWAKS = shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin"), shutil.which("swaks")
COUNT = int(os.environ.get("ZOOZL_TEST_MAILS", "200"))
TALKERS = max(20, COUNT // 20)

pytestmark = pytest.mark.skipif(
    POSTFIX is None or SWAKS is None or os.geteuid() != 0, reason="needs postfix, swaks and root"
)

MAIN = """compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = mx.bot.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = bot.test
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
relayhost = [127.0.0.1]:{sink}
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_dns_support_level = disabled
recipient_delimiter = +
alias_maps =
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
lmtp_destination_concurrency_failed_cohort_limit = 1000
"""
MASTER = """127.0.0.1:{smtp} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
scache unix - - n - 1 scache
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def prepared(lmtp, sink):
    """A folder with a configuration; postfix will listen on the port."""
    # Its own user must be able to reach the folder.
    folder = Path(tempfile.mkdtemp(prefix="zoozl-postfix-", dir="/var/tmp"))
    folder.chmod(0o755)
    port = free_port()
    for name in ("etc", "queue", "data"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    (folder / "etc/main.cf").write_text(MAIN.format(folder=folder, lmtp=lmtp, sink=sink))
    (folder / "etc/master.cf").write_text(MASTER.format(smtp=port))
    return folder, port


@asynccontextmanager
async def running_postfix(lmtp, sink):
    """A postfix that hands mail for bot.test to port `lmtp` and all other to `sink`; gives its own port."""
    folder, port = prepared(lmtp, sink)

    def control(command):
        return subprocess.run([POSTFIX, "-c", str(folder / "etc"), command], capture_output=True, text=True)

    started = await asyncio.to_thread(control, "start")
    assert started.returncode == 0, started.stderr
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield port
    finally:
        await asyncio.to_thread(control, "stop")
        shutil.rmtree(folder, ignore_errors=True)


async def swaks(port, *arguments):
    """Send a mail; what swaks says."""
    command = [SWAKS, "--server", f"127.0.0.1:{port}", "--from", "anna@y.test", "--to", "bot@bot.test", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-2)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


def configuration(folder, lmtp, submission):
    (folder / "chatbot.toml").write_text(
        'extensions = ["fake_mail_bot"]\n'
        f"[email]\nport = {lmtp}\naddress = 'bot@bot.test'\nsmtp_port = {submission}\n"
        "limit_10_minutes = 0\nlimit_day = 0\n"
    )


@asynccontextmanager
async def zoozl(folder):
    """The server as a process of its own; killed in the end."""
    # With the server's own test plugins on the path.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "zoozl",
        "--conf",
        "chatbot.toml",
        cwd=folder,
        stdout=-1,
        env={**os.environ, "PYTHONPATH": FAKES},
    )
    try:
        async with asyncio.timeout(60):
            while b"Ctrl+C" not in (line := await process.stdout.readline()):
                assert line, "it did not start"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_dialog_with_attachments_through_postfix(serve, tmp_path):
    port = free_port()
    (tmp_path / "menu.txt").write_text("x")
    async with fakes.fake_smtp() as sink, running_postfix(port, sink.port) as postfix:
        conf = {"email_port": port, "email_address": "bot@bot.test", "email_smtp_port": postfix}
        async with serve(extensions=["fake_mail_bot"], **conf):
            await swaks(postfix, "--header", "Subject: Lunch", "--header", "Message-Id: <1@y.test>", "--body", "/pizza")
            (asked,) = await sink.wait(1)
            assert sink.envelopes[0] == ("<>", ["anna@y.test"])
            assert asked["In-Reply-To"] == "<1@y.test>"
            answer = "2\\n\\nOn Mon, 3 Nov 2025 at 10:00, <bot@bot.test> wrote:\\n> Which pizza?\\n"
            tagged = asked["Reply-To"].strip("<>")
            await swaks(postfix, "--to", tagged, "--header", "Subject: Re: Lunch", "--body", answer)
            sure = (await sink.wait(2))[1]
            assert "Good choice: Diavolo." in sure.get_body(("plain",)).get_content()
            await swaks(postfix, "--header", "Subject: Re: x", "--body", "no")
            await sink.wait(3)
            await swaks(postfix, "--header", "Subject: see", "--attach", f"@{tmp_path / 'menu.txt'}", "--body", "this")
            seen = (await sink.wait(4))[3]
            assert "menu.txt|text/plain|1" in seen.get_body(("plain",)).get_content().replace(
                "application/octet-stream", "text/plain"
            )


async def test_mail_waits_in_postfix_while_the_bot_is_away(serve):
    port = free_port()
    async with fakes.fake_smtp() as sink, running_postfix(port, sink.port) as postfix:
        await swaks(postfix, "--header", "Subject: Re: x", "--body", "anybody there")
        conf = {"email_port": port, "email_address": "bot@bot.test", "email_smtp_port": postfix}
        async with serve(extensions=["fake_mail_bot"], **conf):
            (mail,) = await sink.wait(1)
            assert "anybody there" in mail.get_body(("plain",)).get_content()


async def test_an_unknown_recipient_bounces_and_the_bounce_is_not_answered(serve):
    port = free_port()
    async with fakes.fake_smtp() as sink, running_postfix(port, sink.port) as postfix:
        conf = {"email_port": port, "email_address": "bot@bot.test", "email_smtp_port": postfix}
        async with serve(extensions=["fake_mail_bot"], **conf):
            await swaks(
                postfix, "--to", "bot@bot.test,nobody@bot.test", "--header", "Subject: Re: x", "--body", "hello"
            )
            mails = await sink.wait(2)
            kinds = sorted(mail.get_content_type() for mail in mails)
            assert kinds == ["multipart/alternative", "multipart/report"]


async def test_many_mails_and_a_kill_in_the_middle_none_lost_none_answered_twice(tmp_path):
    """ZOOZL_TEST_MAILS says how many."""
    port = free_port()
    async with fakes.fake_smtp() as sink, running_postfix(port, sink.port) as postfix:
        # Straight to the sink: postfix would hold the mails of one recipient back.
        configuration(tmp_path, port, sink.port)

        def send():
            with smtplib.SMTP("127.0.0.1", postfix) as client:
                for n in range(COUNT):
                    talker = f"t{n % TALKERS}@y.test"
                    text = f"From: {talker}\r\nTo: bot@bot.test\r\nSubject: Re: x\r\nMessage-ID: <{n}@y.test>\r\n\r\nnumber {n}\r\n"
                    client.sendmail(talker, ["bot@bot.test"], text)

        async with zoozl(tmp_path) as process:
            sending = asyncio.create_task(asyncio.to_thread(send))
            await sink.wait(COUNT // 4, 60 + COUNT / 20)
            process.kill()
            await process.wait()
        async with zoozl(tmp_path):
            await sending
            async with asyncio.timeout(60 + COUNT / 20):
                answered = set()
                while len(answered) < COUNT:
                    answered = {mail["In-Reply-To"] for mail in list(sink.mails)}
                    await asyncio.sleep(0.2)
        assert answered == {f"<{n}@y.test>" for n in range(COUNT)}
        ids = [mail["Message-ID"] for mail in sink.mails]
        again = len(ids) - len(set(ids))
        # What was on its way out at the kill may come again, as the very same mail; nothing is answered anew. A talker
        # has one on its way at a time.
        assert len(set(ids)) == COUNT
        assert again <= TALKERS
