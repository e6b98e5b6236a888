"""Listeners that cannot be opened: which key is to blame, and that nothing stays open."""

import errno
import socket

import pytest
from aiohttp import web

from zoozl.channels.http import CannotListen, Listeners
from zoozl.errors import ConfigError


@pytest.mark.parametrize(
    ("reason", "about", "advice"),
    [
        (OSError(errno.EADDRINUSE, "Address already in use"), "port", "stop the other program"),
        (PermissionError(errno.EACCES, "Permission denied"), "port", "from 1024 up"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "host", "0.0.0.0"),
        (OSError("could not bind on any address out of []"), "host", "0.0.0.0"),
        (socket.gaierror(errno.EACCES, "Name or service not known"), "host", "0.0.0.0"),
        (UnicodeError("label empty or too long"), "host", "no host name"),
        (ValueError("embedded null byte"), "host", "0.0.0.0"),
    ],
)
def test_the_key_to_blame_depends_on_the_reason(reason, about, advice):
    exc = CannotListen("somewhere", 80, reason)
    assert exc.about == about
    assert str(exc).startswith("cannot listen on somewhere:80: ")
    assert advice in str(exc)


def test_two_channels_cannot_have_the_same_path():
    async def answer(request):
        raise AssertionError

    listeners = Listeners()
    listeners.add("127.0.0.1", 0, [web.get("/", answer)])
    with pytest.raises(ValueError, match="already registered"):
        listeners.add("127.0.0.1", 0, [web.get("/", answer)])


async def test_a_server_that_cannot_start_leaves_nothing_open(serve):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        starting = serve(websocket_port=port)
        with pytest.raises(ConfigError, match=rf"^websocket_port: cannot listen on 127\.0\.0\.1:{port}: "):
            await starting.__aenter__()
