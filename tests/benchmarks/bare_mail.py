"""The yardstick: aiosmtpd's LMTP that answers every mail by aiosmtplib, and does nothing else."""

import asyncio
import email
import sys
from email.message import EmailMessage

import aiosmtplib
from aiosmtpd.lmtp import LMTP

TASKS = set()


class Handler:
    def __init__(self, smtp_port):
        self.smtp_port = smtp_port

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - named by aiosmtpd
        if self.smtp_port:
            task = asyncio.create_task(self.reply(envelope.mail_from, envelope.content))
            TASKS.add(task)
            task.add_done_callback(TASKS.discard)
        return "250 OK"

    async def reply(self, to, content):
        mail = email.message_from_bytes(content)
        text = mail.get_payload(decode=True).decode()
        answer = EmailMessage()
        answer["From"], answer["To"] = "bot@x.test", to
        answer["Subject"] = f"Re: {mail['Subject']}"
        answer["In-Reply-To"] = answer["References"] = mail["Message-ID"]
        answer.set_content(text)
        await aiosmtplib.send(answer, hostname="127.0.0.1", port=self.smtp_port, start_tls=False)


async def main(port, smtp_port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: LMTP(Handler(smtp_port), hostname="x.test", loop=loop), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
