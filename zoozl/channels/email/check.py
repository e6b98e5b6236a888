"""What `zoozl doctor` looks at for `[email]`: whether the submission server takes the bot's mails."""

from __future__ import annotations

import asyncio

import aiosmtplib

from zoozl.channels.email import submit
from zoozl.channels.email.options import Options
from zoozl.doctor import Finding
from zoozl.errors import ConfigError

PATIENCE = 10.0


async def check(options: Options) -> list[Finding]:
    """Connect as for a mail, log in, and send nothing."""
    where = f"{options.smtp_host}:{options.smtp_port}"
    try:
        context = await asyncio.to_thread(submit.tls_context, options)
    except ConfigError as exc:
        return [Finding("error", str(exc), "give a PEM file that the server's user may read")]
    found = [*_advice(options)]
    try:
        async with asyncio.timeout(PATIENCE), submit.client(options, context) as smtp:
            await smtp.ehlo()
            found.append(_size(smtp, where, options))
    except aiosmtplib.SMTPAuthenticationError as exc:
        fix = "look at smtp_user and smtp_password"
        return [*found, Finding("error", f"{where} refuses the password ({exc.code})", fix)]
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
        words = " ".join(str(exc).split())[:200] or "no answer in time"
        return [*found, Finding("error", f"{where}: {words}", "look at smtp_host, smtp_port, smtp_tls and smtp_ca")]
    return found


def _size(smtp: aiosmtplib.SMTP, where: str, options: Options) -> Finding:
    """What to say of a server that answers."""
    limit = smtp.esmtp_extensions.get("size", "")
    if limit.isdigit() and 0 < int(limit) < options.max_bytes:
        fix = f"set max_bytes = {limit}"
        return Finding("warning", f"{where} takes mails of up to {limit} bytes, less than max_bytes", fix)
    secure = {"none": "", "starttls": " with STARTTLS", "implicit": " with TLS"}[options.tls]
    return Finding("ok", f"{where} takes mails{secure}")


def _advice(options: Options) -> list[Finding]:
    if options.authserv_id is None:
        fix = "set authserv_id to the name that your mail server writes into Authentication-Results"
        return [Finding("warning", "nobody who writes is known: authserv_id is not set", fix)]
    return []
