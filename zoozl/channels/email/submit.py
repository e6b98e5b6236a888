"""Hand a mail to the submission server (RFC 6409), over TLS if it is not on this computer."""

from __future__ import annotations

import ssl
from email.message import EmailMessage

import aiosmtplib

from zoozl.channels.email.options import Options
from zoozl.channels.email.policy import SMTP, SMTPUTF8
from zoozl.errors import ConfigError, DeliveryError, Undeliverable

# Seconds until the next try, by the number of those that failed; together more than half a day.
DELAYS = (1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)


def tls_context(options: Options) -> ssl.SSLContext:
    """Certificate and host name are checked. Raises ConfigError for a file that cannot be used."""
    try:
        return ssl.create_default_context(cafile=options.smtp_ca)
    except OSError as exc:
        raise ConfigError(f"smtp_ca: {options.smtp_ca} cannot be used: {exc.strerror or exc}") from exc


def client(options: Options, context: ssl.SSLContext) -> aiosmtplib.SMTP:
    """A client that is not connected. It logs in on `connect`, and never without TLS."""
    password = options.smtp_password
    return aiosmtplib.SMTP(
        hostname=options.smtp_host,
        port=options.smtp_port,
        timeout=options.smtp_timeout,
        use_tls=options.tls == "implicit",
        # Never "if it can": who is in between could say that it cannot.
        start_tls=options.tls == "starttls",
        tls_context=context if options.tls != "none" else None,
        username=options.smtp_user,
        password=password.get_secret_value() if password is not None else None,
        local_hostname=(options.address or "").rpartition("@")[2] or None,
    )


async def submit(options: Options, context: ssl.SSLContext, mail: EmailMessage, to: str, failures: int) -> None:
    """Send one mail to one address. Raises Undeliverable for what no later try can change, else DeliveryError.

    `failures` is how often this mail has failed; it decides when to try again.
    """
    retry_after = DELAYS[min(failures, len(DELAYS) - 1)]
    try:
        async with client(options, context) as smtp:
            utf8 = not to.isascii()
            if utf8:
                await smtp.ehlo()
                if not smtp.supports_extension("smtputf8"):
                    raise Undeliverable("the mail server takes no addresses beyond ASCII")
            content = mail.as_bytes(policy=SMTPUTF8 if utf8 else SMTP)
            extensions = ["SMTPUTF8"] if utf8 else []
            await smtp.sendmail(options.bounce_address or "", [to], content, mail_options=extensions)
    except aiosmtplib.SMTPRecipientsRefused as exc:
        refused = exc.recipients[0]
        raise _failed(refused.code, refused.message, retry_after) from exc
    except aiosmtplib.SMTPAuthenticationError as exc:
        # A password can be put right; the replies wait for it.
        raise DeliveryError(f"the mail server refuses smtp_user and smtp_password ({exc.code})", retry_after) from exc
    except aiosmtplib.SMTPResponseException as exc:
        raise _failed(exc.code, exc.message, retry_after) from exc
    except UnicodeError as exc:
        raise Undeliverable(f"no mail can be written to this address: {exc}") from exc
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
        raise DeliveryError(f"the mail server cannot be reached: {_words(exc)}", retry_after) from exc


def _failed(code: int, message: str, retry_after: float) -> DeliveryError:
    text = f"the mail server says {code} {' '.join(message.split())[:200]}"
    return Undeliverable(text) if 500 <= code < 600 else DeliveryError(text, retry_after)


def with_ascii_domain(address: str) -> str:
    """The same address, its domain as every mail server takes it. Raises Undeliverable if that is none."""
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    try:
        return f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError as exc:
        raise Undeliverable("the domain of the address is none") from exc


def _words(exc: Exception) -> str:
    return " ".join(str(exc).split())[:200] or type(exc).__name__
