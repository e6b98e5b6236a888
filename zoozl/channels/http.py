"""Shared HTTP listeners: channels with the same host and port share one."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from aiohttp import web

log = logging.getLogger(__name__)

# What a client may take to send its request line and headers, and to end after the server's goodbye.
CLOSE_TIMEOUT = 2.0


class PortInUse(OSError):
    """A listener could not be opened; `port` says which."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {reason}")
        self.port = port


class Listeners:
    """All HTTP listeners of a server, by host and port."""

    def __init__(self, *, force_bind: bool = False) -> None:
        self._force_bind = force_bind
        self._apps: dict[tuple[str, int], web.Application] = {}
        self._runners: dict[tuple[str, int], web.AppRunner] = {}

    def add(self, host: str, port: int, routes: Iterable[web.AbstractRouteDef], max_body: int = 1 << 20) -> None:
        """Serve `routes` there. Comes before `open`; two channels must not claim the same path."""
        app = self._apps.get((host, port))
        if app is None:
            app = self._apps[host, port] = web.Application(client_max_size=max_body)
        app.add_routes(routes)

    async def open(self) -> None:
        """Listen. Raises PortInUse, after closing what was open."""
        for (host, port), app in self._apps.items():
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_TIMEOUT)
            await runner.setup()
            self._runners[host, port] = runner
            try:
                # None, not False: the system's own default for the address, which lets a restart bind at once.
                await web.TCPSite(runner, host, port, reuse_port=self._force_bind or None).start()
            except OSError as exc:
                await self.close()
                raise PortInUse(host, port, exc.strerror or str(exc)) from exc

    def port(self, host: str, port: int) -> int:
        """The port that is really listened on: the same, or the one the system chose for port 0."""
        return int(self._runners[host, port].addresses[0][1])

    async def close(self) -> None:
        """Stop listening and end all connections."""
        for runner in reversed(list(self._runners.values())):
            await runner.cleanup()
        self._runners.clear()
