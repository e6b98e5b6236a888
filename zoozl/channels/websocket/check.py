"""What `zoozl doctor` looks at for `[websocket]`: certificate, key, and the key of tokens."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from zoozl.channels.http import TLSFault, tls
from zoozl.channels.websocket import auth
from zoozl.channels.websocket.options import Options
from zoozl.doctor import Finding
from zoozl.errors import ConfigError

# A certificate that is renewed by itself is renewed earlier than that.
SOON = timedelta(days=14)
RENEW = "renew the certificate and start the server anew"


async def check(options: Options) -> list[Finding]:
    """What there is to say of the files that the options name; nothing without TLS and tokens."""
    found = []
    if options.tls_certificate is not None and options.tls_key is not None:
        now = datetime.now(UTC)
        found.append(await asyncio.to_thread(_certificate, options.tls_certificate, options.tls_key, now))
    if options.takes_tokens:
        found.append(await asyncio.to_thread(_tokens, options))
    return found


def _tokens(options: Options) -> Finding:
    try:
        auth.verifier(options)
    except ConfigError as exc:
        return Finding("error", str(exc), "give the public key as a PEM file, see docs/howto/sign-tokens.md")
    return Finding("ok", "the key that tokens are checked with can be used")


def _certificate(certificate: str, key: str, now: datetime) -> Finding:
    try:
        tls(certificate, key)
    except TLSFault as exc:
        return Finding("error", f"{exc.about}: {exc}", "give both as PEM files that the server's user may read")
    from cryptography import x509

    # The first one is the server's own, what follows is its chain.
    own = x509.load_pem_x509_certificates(Path(certificate).read_bytes())[0]
    begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
    if now < begins:
        return Finding("error", f"{certificate} is valid from {begins:%Y-%m-%d %H:%M} UTC only", "look at the clock")
    if now > ends:
        return Finding("error", f"{certificate} expired on {ends:%Y-%m-%d}", RENEW)
    if now > ends - SOON:
        return Finding("warning", f"{certificate} expires on {ends:%Y-%m-%d}", RENEW)
    return Finding("ok", f"{certificate} fits its key and is valid until {ends:%Y-%m-%d}")
