"""Tokens on the websocket: who is let in, as whom, for how long, and what that allows."""

import asyncio
import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from zoozl.errors import ConfigError

SECRET = "a secret that is long enough for every algorithm which the tests sign with"
OTHER = "another secret of more than 32 bytes, for tests"


def token(key=SECRET, algorithm="HS256", **claims):
    return jwt.encode({"sub": "jane", "exp": time.time() + 60, **claims}, key, algorithm)


def unsigned(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'sub': 'jane', 'exp': time.time() + 60, **claims})}."


def pem(key):
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def server(serve):
    """A server that lets nobody in without a token; `conf` goes to [websocket]."""

    def make(required=True, **conf):
        return serve(
            auth_required=required, websocket={"auth_secret": SECRET, **conf}, extensions=["fake_plugins", "fake_roles"]
        )

    return make


def url(server):
    return f"ws://127.0.0.1:{server.port('websocket')}/"


async def said(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 10))


async def ask(socket, text):
    await socket.send(json.dumps({"text": text}))
    return (await said(socket))["text"]


async def closed(socket):
    with pytest.raises(ConnectionClosed) as info:
        await asyncio.wait_for(socket.recv(), 10)
    return info.value.rcvd.code, info.value.rcvd.reason


async def show(socket, proof):
    await socket.send(json.dumps({"auth": {"token": proof}}))


async def hello(socket, proof, last=0):
    await socket.send(json.dumps({"hello": {"resume": None, "last": last, "auth": {"token": proof}}}))
    return (await said(socket))["welcome"]


async def test_who_shows_a_token_is_greeted_and_is_who_it_says(server):
    async with server() as up, connect(url(up)) as socket:
        await show(socket, token(roles=["admin"], email="jane@example.com"))
        assert (await said(socket))["text"] == "welcome"
        assert await ask(socket, "who am i") == "jane jane ['admin'] jane@example.com"


async def test_hello_may_carry_the_token_and_is_told_the_name(server):
    async with server() as up, connect(url(up)) as socket:
        assert (await hello(socket, token()))["talker"] == "jane"
        assert (await said(socket))["text"] == "welcome"


async def test_the_claim_that_names_the_talker_can_be_another(server):
    async with server(auth_claim="email", auth_roles_claim="groups") as up, connect(url(up)) as socket:
        await show(socket, token(email="jane@example.com", groups="admin staff"))
        await said(socket)
        answer = await ask(socket, "who am i")
        assert answer == "jane@example.com jane@example.com ['admin', 'staff'] jane@example.com"


BAD = {
    "another key": lambda: token(OTHER),
    "expired": lambda: token(exp=time.time() - 1),
    "no end": lambda: jwt.encode({"sub": "jane"}, SECRET, "HS256"),
    "no name": lambda: jwt.encode({"exp": time.time() + 60}, SECRET, "HS256"),
    "empty name": lambda: token(sub=" "),
    "a long name": lambda: token(sub="x" * 256),
    "alg none": unsigned,
    "another algorithm": lambda: token(algorithm="HS512"),
    "not yet": lambda: token(nbf=time.time() + 60),
    "for others": lambda: token(aud="others"),
    "nonsense": lambda: "nonsense",
    "dots": lambda: "..",
    "deep": lambda: base64.urlsafe_b64encode(b"[" * 9_000).decode() + ".e30.",
    "huge": lambda: "x" * 100_000,
    "a number no store takes": lambda: token(n=10**30),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("required", [True, False])
async def test_a_token_that_proves_nothing_closes_the_connection(server, what, required):
    async with server(required) as up, connect(url(up)) as socket:
        await show(socket, BAD[what]())
        code, reason = await closed(socket)
        assert code == 4401
        assert "token" in reason
        assert ("expired" in reason) == (what == "expired")


@pytest.mark.parametrize("frame", ['{"text": "17"}', '{"hello": {}}', '{"ack": 1}', "nonsense", '{"operation": "x"}'])
async def test_nothing_is_said_to_who_shows_none(server, frame):
    async with server() as up, connect(url(up)) as socket:
        await socket.send(frame)
        assert await closed(socket) == (4401, "a token must come first")


async def test_nobody_is_greeted_before_the_token(server):
    async with server() as up, connect(url(up)) as socket:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.6)


async def test_where_none_is_needed_who_shows_none_is_anybody(server):
    async with server(required=False) as up, connect(url(up)) as socket:
        await said(socket)
        assert await ask(socket, "who am i") == "nobody"
        await show(socket, token())
        assert "first frame" in (await said(socket))["error"]


async def test_a_server_without_a_key_takes_no_tokens(serve):
    async with serve() as up, connect(url(up)) as socket:
        await show(socket, token())
        assert (await said(socket))["error"] == "no tokens are taken here"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(rsa.generate_private_key(65537, 2048), "RS256"), (ed25519.Ed25519PrivateKey.generate(), "EdDSA")],
    ids=["RSA", "Ed25519"],
)
async def test_a_public_key_checks_what_its_private_key_signed_and_nothing_else(server, tmp_path, key, algorithm):
    file = tmp_path / "key.pem"
    file.write_text(pem(key.public_key()))
    async with server(auth_secret=None, auth_public_key=str(file)) as up:
        async with connect(url(up)) as socket:
            await show(socket, token(key, algorithm))
            assert (await said(socket))["text"] == "welcome"
        # The public key is no secret: who signs with its text as if it were one is refused.
        header, body, _ = token(SECRET).split(".")
        signature = hmac.digest(file.read_bytes(), f"{header}.{body}".encode(), hashlib.sha256)
        forged = f"{header}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
        for bad in (forged, unsigned(), token(SECRET)):
            async with connect(url(up)) as socket:
                await show(socket, bad)
                assert (await closed(socket))[0] == 4401


async def test_a_token_must_be_for_us_and_from_the_right_one(server):
    async with server(auth_audience="bot", auth_issuer="us") as up:
        for claims, fine in (({"aud": "bot", "iss": "us"}, True), ({"aud": "bot", "iss": "x"}, False), ({}, False)):
            async with connect(url(up)) as socket:
                await show(socket, token(**claims))
                if fine:
                    assert (await said(socket))["text"] == "welcome"
                else:
                    assert (await closed(socket))[0] == 4401


async def test_a_connection_ends_with_its_token(server):
    async with server() as up, connect(url(up)) as socket:
        start = time.time()
        await show(socket, token(exp=int(start) + 2))
        assert (await said(socket))["text"] == "welcome"
        assert await closed(socket) == (4401, "the token has expired")
        assert time.time() >= int(start) + 2


async def test_a_talker_comes_back_without_another_greeting_and_gets_what_waited(server):
    async with server() as up:
        async with connect(url(up)) as socket:
            await show(socket, token())
            await said(socket)
            await socket.send('{"text": "wait"}')
            assert (await said(socket))["text"] == "waiting"
        await up.bot.idle()
        async with connect(url(up)) as socket:
            await show(socket, token())
            assert (await said(socket))["text"] == "echo wait"
            assert await ask(socket, "17") == "echo 17"


async def test_all_devices_of_a_talker_get_the_replies_and_one_of_them_acknowledges(server):
    async with server() as up, connect(url(up)) as one, connect(url(up)) as other:
        await hello(one, token())
        assert (await said(one))["text"] == "welcome"
        await hello(other, token())
        assert (await said(other))["text"] == "welcome", "not acknowledged yet"
        await one.send('{"text": "17", "id": "a"}')
        seqs = []
        for socket in (one, other):
            packet = await said(socket)
            if "ack" in packet:
                packet = await said(socket)
            assert packet["text"] == "echo 17"
            seqs.append(packet["seq"])
        assert seqs[0] == seqs[1]
        await other.send(json.dumps({"ack": seqs[0]}))
        await other.send('{"text": "18"}')
        await said(other)
        await up.bot.idle()
        waiting = await up.bot.root.store.undelivered()
        assert [reply.message.text for reply in waiting] == ["echo 18"]


async def test_a_role_opens_a_plugin_and_nothing_else_does(server):
    async with server(required=False) as up:
        async with connect(url(up)) as socket:
            await said(socket)
            assert await ask(socket, "delete everything") == "Sorry, you may not use this."
        for roles, answer in (([], "Sorry, you may not use this."), (["admin"], "deleted")):
            async with connect(url(up)) as socket:
                await show(socket, token(sub=f"jane{len(roles)}", roles=roles))
                await said(socket)
                assert await ask(socket, "delete everything") == answer
                assert await ask(socket, "17") == "echo 17"


async def test_a_talker_cannot_name_another_kind_of_talker(server):
    """A proved name is never the same talker as an anonymous one, whatever it says."""
    async with server(required=False) as up:
        async with connect(url(up)) as socket:
            await socket.send('{"hello": {}}')
            await said(socket)
            await said(socket)
            (anonymous,) = up.channels["websocket"].talkers.single
        async with connect(url(up)) as socket:
            await show(socket, token(sub=anonymous))
            assert (await said(socket))["text"] == "welcome", "a new conversation"
            await socket.send('{"operation": "list_messages"}')
            assert (await said(socket))["total_count"] == 1


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ({}, r"^auth_required: \[websocket\] needs auth_secret or auth_public_key"),
        ({"auth_secret": "short"}, "auth_secret: must have at least 32 bytes"),
        ({"auth_secret": SECRET, "auth_public_key": "x"}, "only one of them"),
        ({"auth_public_key": "no such file"}, r"^websocket\.auth_public_key: .*no such file cannot be read"),
    ],
)
def test_keys_that_cannot_be_used_are_named(serve, conf, reason):
    with pytest.raises(ConfigError, match=reason) as info:
        asyncio.run(serve(auth_required=True, websocket={"port": 0, **conf}).__aenter__())
    assert SECRET not in str(info.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "holds no public key"),
        (pem(ec.generate_private_key(ec.SECP256R1()).public_key()), "must be a key for RSA or Ed25519"),
        ("-----BEGIN PRIVATE KEY-----", "is a private key"),
    ],
)
def test_a_file_that_is_no_fitting_public_key_is_refused(serve, tmp_path, text, reason):
    (tmp_path / "key.pem").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        asyncio.run(serve(websocket={"port": 0, "auth_public_key": str(tmp_path / "key.pem")}).__aenter__())
