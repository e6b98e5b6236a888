"""Shared HTTP listeners: channels with the same host and port share one."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web

log = logging.getLogger(__name__)

# Seconds that connections get to end by themselves when the server stops.
CLOSE_TIMEOUT = 2.0
# Seconds in which a request's head must be there, and after which a silent connection is closed. Longer than
# proxies keep one open to be used again: nginx takes 60.
REQUEST_TIMEOUT = 75.0


class CannotListen(OSError):
    """A listener could not be opened: `host` and `port` say which, `about` is the one to blame ("host" or "port")."""

    def __init__(self, host: str, port: int, reason: OSError | ValueError) -> None:
        text = getattr(reason, "strerror", None) or str(reason)
        self.host, self.port = host, port
        self.about, cure = "host", 'give an address of this computer, or "0.0.0.0" for all of them'
        if isinstance(reason, UnicodeError):
            text = "that is no host name"
        elif isinstance(reason, OSError) and not isinstance(reason, socket.gaierror):
            if reason.errno == errno.EADDRINUSE:
                self.about, cure = "port", "stop the other program or choose another port"
            elif reason.errno in (errno.EACCES, errno.EPERM):
                self.about, cure = "port", "choose a port from 1024 up, or allow zoozl to have this one"
        super().__init__(f"cannot listen on {host}:{port}: {text}; {cure}")


class TLSFault(ValueError):
    """TLS that cannot be offered; `about` is the option to blame ("tls_certificate" or "tls_key")."""

    def __init__(self, about: str, why: str) -> None:
        super().__init__(why)
        self.about = about


def tls(certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.2 or newer with these PEM files. Raises TLSFault."""
    for about, file, what in (("tls_certificate", certificate, b"CERTIFICATE"), ("tls_key", key, b"PRIVATE KEY")):
        try:
            text = Path(file).read_bytes()
        except OSError as exc:
            raise TLSFault(about, f"{file} cannot be read: {exc.strerror}") from exc
        if what + b"-----" not in text:
            raise TLSFault(about, f"{file} holds no {what.decode().lower()} in PEM")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def password() -> str:
        raise TLSFault("tls_key", f"{key} is protected by a password: save it without one, readable for zoozl only")

    try:
        context.load_cert_chain(certificate, key, password)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise TLSFault("tls_key", f"{key} is not the key of {certificate}") from exc
        raise TLSFault("tls_certificate", f"{certificate} and {key} cannot be used: {exc.reason or exc}") from exc
    return context


class Listeners:
    """All HTTP listeners of a server, by host and port."""

    def __init__(self, *, force_bind: bool = False) -> None:
        self._force_bind = force_bind
        self._apps: dict[tuple[str, int], web.Application] = {}
        self._runners: dict[tuple[str, int], web.AppRunner] = {}
        self._tls: dict[tuple[str, int], tuple[str, str, ssl.SSLContext]] = {}

    def add(
        self,
        host: str,
        port: int,
        routes: Iterable[web.AbstractRouteDef],
        certificate: str | None = None,
        key: str | None = None,
    ) -> None:
        """Serve `routes` there, with TLS if there is a certificate. Comes before `open`.

        A channel without a certificate joins one that has one. Raises TLSFault for files that cannot be used and for
        two channels that differ in them, ValueError when another channel has the same path.
        """
        if certificate is not None and key is not None:
            there = self._tls.get((host, port))
            if there is None:
                self._tls[host, port] = (certificate, key, tls(certificate, key))
            elif there[0] != certificate:
                raise TLSFault("tls_certificate", f"another channel on {host}:{port} has another: {there[0]}")
            elif there[1] != key:
                raise TLSFault("tls_key", f"another channel on {host}:{port} has another: {there[1]}")
        app = self._apps.get((host, port))
        if app is None:
            app = self._apps[host, port] = web.Application()
        try:
            app.add_routes(routes)
        except RuntimeError as exc:
            raise ValueError(str(exc)) from exc

    async def open(self) -> None:
        """Listen. Raises CannotListen, after closing what was open."""
        for (host, port), app in self._apps.items():
            runner = web.AppRunner(
                app, access_log=None, shutdown_timeout=CLOSE_TIMEOUT, keepalive_timeout=REQUEST_TIMEOUT
            )
            secured = self._tls.get((host, port))
            await runner.setup()
            self._runners[host, port] = runner
            try:
                # None, not False: the system's own default for the address, which lets a restart bind at once.
                await web.TCPSite(
                    runner,
                    host,
                    port,
                    ssl_context=secured[2] if secured else None,
                    reuse_port=self._force_bind or None,
                ).start()
            except (OSError, ValueError) as exc:  # ValueError: a name that cannot even be asked for
                await self.close()
                raise CannotListen(host, port, exc) from exc

    def secure(self, host: str, port: int) -> bool:
        """Whether TLS is spoken there."""
        return (host, port) in self._tls

    def port(self, host: str, port: int) -> int:
        """The port that is really listened on: the same, or the one the system chose for port 0."""
        return int(self._runners[host, port].addresses[0][1])

    async def close(self) -> None:
        """Stop listening and end all connections."""
        for runner in reversed(list(self._runners.values())):
            await runner.cleanup()
        self._runners.clear()
