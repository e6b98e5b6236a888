"""TLS on a listener of our own, and what HTTP answers to those who ask for something else."""

import asyncio
import datetime
import json
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect

from zoozl.channels.http import Listeners, TLSFault
from zoozl.errors import ConfigError


def made(folder, name, password=None):
    """A certificate for localhost and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(pem))
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, private, locked))
    return str(folder / f"{name}.crt"), str(folder / f"{name}.key")


async def said(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 10))


async def test_a_certificate_makes_it_wss(serve, tmp_path):
    certificate, key = made(tmp_path, "a")
    trust = ssl.create_default_context(cafile=certificate)
    async with serve(websocket={"tls_certificate": certificate, "tls_key": key}) as server:
        port = server.port("websocket")
        async with connect(f"wss://localhost:{port}/", ssl=trust, max_size=None) as socket:
            await said(socket)
            for text in ("17", "y" * 300_000, "large", "18"):
                await socket.send(json.dumps({"text": text}))
                wanted = "echo " + (text if text != "large" else "x" * 1_000_000)
                assert (await said(socket))["text"] == wanted
        assert any(f"wss://127.0.0.1:{port}" in line for line in server.summary())
        assert any("https://" in line for line in server.summary())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET.encode() + b"\r\n")
        assert b"HTTP" not in await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_old_tls_is_refused(serve, tmp_path):
    certificate, key = made(tmp_path, "a")
    old = ssl.create_default_context(cafile=certificate)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serve(websocket={"tls_certificate": certificate, "tls_key": key}) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("localhost", server.port("websocket"), ssl=old)


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        ("a.crt", "b.key", r"websocket.tls_key: .*b\.key is not the key of .*a\.crt"),
        ("a.crt", "locked.key", r"websocket.tls_key: .* is protected by a password"),
        ("a.key", "a.crt", r"websocket.tls_certificate: .*a\.key holds no certificate"),
        ("a.crt", "none.key", r"websocket.tls_key: .*none\.key cannot be read: No such file"),
        ("a.crt", None, r"needs (websocket\.)?tls_key to be set"),
        (None, "a.key", r"needs (websocket\.)?tls_certificate to be set"),
    ],
)
async def test_files_that_cannot_be_used_are_named_with_their_key(serve, tmp_path, certificate, key, reason):
    made(tmp_path, "a")
    made(tmp_path, "b")
    made(tmp_path, "locked", b"password")
    names = {"tls_certificate": certificate, "tls_key": key}
    given = {option: str(tmp_path / name) for option, name in names.items() if name}
    with pytest.raises(ConfigError, match=reason):
        await serve(websocket={"port": 0, **given}).__aenter__()


def test_channels_on_one_listener_agree_about_tls(tmp_path):
    one, other = made(tmp_path, "a"), made(tmp_path, "b")
    listeners = Listeners()
    listeners.add("127.0.0.1", 1, [], *one)
    listeners.add("127.0.0.1", 1, [], *one)
    listeners.add("127.0.0.1", 1, [])
    assert listeners.secure("127.0.0.1", 1)
    with pytest.raises(TLSFault, match="another channel") as fault:
        listeners.add("127.0.0.1", 1, [], *other)
    assert fault.value.about == "tls_certificate"


GET = "GET / HTTP/1.1\r\nHost: x\r\n"
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n"


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (GET + "\r\n", 400),
        (GET + UPGRADE + "\r\n", 400),
        (GET + UPGRADE + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n", 400),
        (GET + UPGRADE + "Sec-WebSocket-Version: 99\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/9\r\n\r\n", 400),
        (GET + "Content-Length: x\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("DELETE / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        ("FROBNICATE / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET /" + "x" * 10_000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (GET + "X: " + "x" * 10_000 + "\r\n\r\n", 400),
    ],
)
async def test_what_is_no_websocket_gets_its_status(serve, request_text, status):
    async with serve() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port("websocket"))
        writer.write(request_text.encode())
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode()
        assert head.split()[1] == str(status)
        assert status != 405 or "allow: get" in head.lower()
        writer.close()
        await writer.wait_closed()
