"""Shared HTTP listeners: channels with the same host and port share one."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterable

from aiohttp import web

log = logging.getLogger(__name__)

# Seconds that connections get to end by themselves when the server stops.
CLOSE_TIMEOUT = 2.0


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


class Listeners:
    """All HTTP listeners of a server, by host and port."""

    def __init__(self, *, force_bind: bool = False) -> None:
        self._force_bind = force_bind
        self._apps: dict[tuple[str, int], web.Application] = {}
        self._runners: dict[tuple[str, int], web.AppRunner] = {}

    def add(self, host: str, port: int, routes: Iterable[web.AbstractRouteDef]) -> None:
        """Serve `routes` there. Comes before `open`. Raises ValueError when another channel has the same path."""
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
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_TIMEOUT)
            await runner.setup()
            self._runners[host, port] = runner
            try:
                # None, not False: the system's own default for the address, which lets a restart bind at once.
                await web.TCPSite(runner, host, port, reuse_port=self._force_bind or None).start()
            except (OSError, ValueError) as exc:  # ValueError: a name that cannot even be asked for
                await self.close()
                raise CannotListen(host, port, exc) from exc

    def port(self, host: str, port: int) -> int:
        """The port that is really listened on: the same, or the one the system chose for port 0."""
        return int(self._runners[host, port].addresses[0][1])

    async def close(self) -> None:
        """Stop listening and end all connections."""
        for runner in reversed(list(self._runners.values())):
            await runner.cleanup()
        self._runners.clear()
