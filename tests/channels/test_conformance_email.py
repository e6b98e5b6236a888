"""E-mail passes the conformance suite: LMTP in, submission out."""

import importlib
import re
import sys
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from zoozl.testing.conformance import (
    ANNA,
    BERT,
    BOSS,
    Capability,
    Conformance,
    Driver,
    File,
    Heard,
    Limit,
    Outcome,
)

sys.path.append(str(Path(__file__).parents[1] / "fakes"))
fakes = importlib.import_module("fake_smtp")

BOT = "bot@x.test"
PEOPLE = {name: f"{name}@y.test" for name in (ANNA, BERT, BOSS)}
OURS = "mx.test"
SECRET = "the key that threads are signed with"
LARGEST = 25 << 20


def proof(sender, result="pass", server=OURS):
    return f"Authentication-Results: {server}; dmarc={result} header.from={sender.rpartition('@')[2]}\r\n".encode()


class EmailDriver(Driver):
    title = "E-mail"
    channel = "email"
    absent = {
        Capability.EDIT: "A mail that was sent cannot be changed.",
        Capability.ROOMS: "A mail is answered to its author alone.",
        Capability.SPLIT: "A mail may be as long as it likes.",
        Capability.PACE: "SMTP does not tell how long to wait; a mail that is refused for now is tried again later and later.",
        Capability.MIDDLE: "A mail may be as long as it likes.",
        Capability.STREAM: "A mail that was sent cannot be changed.",
        Capability.FORMS: "Mail programs show none; the fields are asked for one by one, in words.",
        Capability.COMMANDS: "Mail programs have none of the bot's; what begins with a slash is read as one.",
        Capability.BUTTONS: "Mail programs show none; choices are numbered lines, and the number or the name is the answer.",
        Capability.TYPING: "Mail programs show nothing of the kind.",
        Capability.RECONNECT: "The mail server connects for every delivery.",
        Capability.GAP: "The mail server keeps what it could not deliver, and tries again for days.",
    }
    notes = {
        Capability.ONCE: "By the Message-ID, which is the same at every try; a mailbox that does not look at it has two mails.",
        Capability.REFUSE: "By status 452 for that recipient; the mail server tries again.",
        Capability.FORGED: "A mail whose author is not proved by the mail server's Authentication-Results is a stranger's.",
        Capability.THREADS: 'By In-Reply-To and References; with scope = "thread" each is a conversation.',
    }
    file_limit = Limit(LARGEST, "bytes of a mail", "max_bytes")
    secrets = (SECRET,)

    @asynccontextmanager
    async def platform(self):
        async with fakes.fake_smtp() as self.smtp:
            yield

    def options(self):
        about = {"port": 0, "address": BOT, "smtp_host": "127.0.0.1", "smtp_port": self.smtp.port, "secret": SECRET}
        return {**about, "authserv_id": OURS, "roles": {"boss": [PEOPLE[BOSS]]}, "limit_10_minutes": 0}

    @asynccontextmanager
    async def connected(self, server):
        self.port = server.port("email")
        yield

    def mail(self, said):
        mail = EmailMessage(policy=SMTP)
        mail["From"] = f"{said.talker} <{PEOPLE[said.talker]}>"
        mail["To"] = BOT
        mail["Subject"] = "Re: hello"
        mail["Message-ID"] = f"<{said.number}@y.test>"
        if said.thread:
            mail["In-Reply-To"] = mail["References"] = f"<{said.thread}@y.test>"
        mail.set_content(said.text)
        for file in said.files:
            maintype, _, subtype = file.media_type.partition("/")
            mail.add_attachment(file.data, maintype, subtype, filename=file.name)
        return mail.as_bytes()

    async def deliver(self, said):
        sender = PEOPLE[said.talker]
        return await self.hand_over(proof(sender) + self.mail(said), sender)

    async def hand_over(self, raw, sender):
        async with fakes.lmtp(self.port) as client:
            (status,) = await client.mail(raw, sender)
        return self.outcome(status)

    def outcome(self, status):
        return {"2": Outcome.TAKEN, "4": Outcome.AGAIN}.get(status[0], Outcome.REFUSED)

    def heard(self):
        # A mailbox knows a mail again by its id.
        mails = {}
        for mail in self.smtp.mails:
            mails.setdefault(mail["Message-ID"], mail)
        return [self.message(mail) for mail in mails.values()]

    def message(self, mail):
        text = mail.get_body(("plain",)).get_content().replace("\r\n", "\n").strip()
        talker = re.search(r"(\w+)@[yz]\.test", mail["To"])[1]
        # The first of them began the thread; a mail without an id has none.
        began = re.match(r"<(\d+)@y\.test>", mail["References"] or "")
        files = tuple(
            File(part.get_filename(), self.content(part), part.get_content_type()) for part in mail.iter_attachments()
        )
        return Heard(text, talker, thread=int(began[1]) if began else 0, files=files)

    def content(self, part):
        return part.get_payload(decode=True)

    def fail_once(self, after=0, *, broken=False):
        self.smtp.answers += ["250 OK"] * after
        self.smtp.answers.append(fakes.BROKEN if broken else "RCPT 451 4.3.0 Try again later")

    def lose_receipt(self, after=0):
        self.smtp.answers += ["250 OK"] * after
        # It has the mail by then.
        self.smtp.answers.append("451 4.3.0 Try again later")

    async def oversize(self):
        async with fakes.lmtp(self.port) as client:
            declared = await client.say(f"MAIL FROM:<{PEOPLE[ANNA]}> SIZE={LARGEST + 1}")
            line = b"x" * 70 + b"\r\n"
            raw = self.mail_of_nobody() + line * (LARGEST // len(line) + 1)
            (sent,) = await client.mail(raw, PEOPLE[ANNA])
        return [self.outcome(declared), self.outcome(sent)]

    def mail_of_nobody(self):
        return f"From: {PEOPLE[ANNA]}\r\nMessage-ID: <large@y.test>\r\n\r\n".encode()

    async def garbage(self):
        async with fakes.lmtp(self.port) as client:
            for line in ("", "EHLO x", "DATA", "BDAT 5", "MAIL", "MAIL FROM:<", "RCPT TO:<bot@x.test>", "x" * 400):
                assert (await client.say(line))[0] == "5", line
            client.writer.write(b"\xff\xfe\x00\r\n")
            assert (await client.reply())[0] == "5"
        mails = [
            b"\r\n",
            b"no header at all\r\n",
            b"From: \xff\xfe\r\nContent-Type: text/plain; charset=klingon\r\n\r\n\xff\r\n",
            b"From: <<>>\r\nFrom: b@y.test\r\nSubject: =?x?q?=\r\n\r\nx\r\n",
            b"From: mallory@z.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" * 20,
            b"From: mallory@z.test\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n",
        ]
        for raw in mails:
            assert await self.hand_over(raw, "") is Outcome.TAKEN
            assert await self.hand_over(raw, "mallory@z.test") is not Outcome.AGAIN

    async def forge(self, said):
        sender, mail = PEOPLE[said.talker], self.mail(said)
        others = f"From: {sender}\r\n".encode()
        forgeries = [
            mail,
            proof(sender, "fail") + mail,
            proof(sender, "none") + mail,
            proof(sender, server="mx.elsewhere.test") + mail,
            # What came with the mail stands below what the own server has written.
            proof(sender, "fail") + proof(sender) + mail,
            proof("mallory@z.test") + mail,
            b"Authentication-Results: mx.test; spf=pass smtp.mailfrom=z.test\r\n" + mail,
            b"Authentication-Results: mx.test; none (mx.test; dmarc=pass)\r\n" + mail,
            proof(sender) + others + mail,
        ]
        outcomes = []
        for number, raw in enumerate(forgeries):
            raw = raw.replace(f"<{said.number}@".encode(), f"<{said.number}{number:02}@".encode())
            outcomes.append(await self.hand_over(raw, "mallory@z.test"))
        return outcomes

    async def machines(self):
        def mail(field, sender=PEOPLE[ANNA]):
            return f"From: {sender}\r\nMessage-ID: <{hash(field)}@y.test>\r\n{field}\r\n\r\nfrom a machine\r\n".encode()

        fields = ["Auto-Submitted: auto-replied", "Auto-Submitted: auto-generated", "List-Id: <a.y.test>"]
        fields += ["Precedence: bulk", "X-Auto-Response-Suppress: All", "Content-Type: multipart/report; boundary=b"]
        for field in fields:
            assert await self.hand_over(mail(field), PEOPLE[ANNA]) is Outcome.TAKEN
        assert await self.hand_over(mail("X-Of: a bounce"), "") is Outcome.TAKEN
        for sender in (BOT, "MAILER-DAEMON@y.test", "noreply@y.test"):
            assert await self.hand_over(mail(f"X-By: {sender}", sender), sender) is Outcome.TAKEN
        return 0


class TestEmail(Conformance):
    driver_class = EmailDriver
