"""Towards the submission server: TLS and its certificate, the password only within it."""

import importlib
import ssl
import sys
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from zoozl.channels.email.check import check
from zoozl.channels.email.options import Options
from zoozl.channels.email.submit import DELAYS, submit, tls_context, with_ascii_domain
from zoozl.errors import ConfigError, DeliveryError, Undeliverable

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
fakes = importlib.import_module("fake_smtp")


def certificate(folder, name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mx.test")])
    names = [x509.IPAddress(ip_address("127.0.0.1"))] if name == "ip" else [x509.DNSName(name)]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{name}.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem)
    return str(pem), context


@pytest.fixture
def here(tmp_path):
    return certificate(tmp_path, "ip")


def mail():
    made = EmailMessage()
    made["From"] = "bot@x.test"
    made["To"] = "anna@y.test"
    made["Message-ID"] = "<1@x.test>"
    made.set_content("hello")
    return made


def options(smtp, **given):
    return Options(port=1, address="bot@x.test", smtp_host="127.0.0.1", smtp_port=smtp.port, smtp_timeout=5.0, **given)


async def send(given, to="anna@y.test", failures=0):
    await submit(given, tls_context(given), mail(), to, failures)


async def test_starttls_and_a_password(here):
    pem, tls = here
    async with fakes.fake_smtp(tls, auth=True) as smtp:
        await send(options(smtp, smtp_tls="starttls", smtp_ca=pem, smtp_user="bot", smtp_password="right"))
        assert smtp.logins == [(b"bot", b"right")]
        assert smtp.envelopes == [("<>", ["anna@y.test"])]


async def test_implicit_tls(here):
    pem, tls = here
    async with fakes.fake_smtp(tls, implicit=True) as smtp:
        await send(options(smtp, smtp_tls="implicit", smtp_ca=pem))
        assert len(smtp.mails) == 1


async def test_without_starttls_no_password_is_sent(here):
    async with fakes.fake_smtp() as smtp:
        with pytest.raises(DeliveryError) as caught:
            await send(options(smtp, smtp_user="bot", smtp_password="right"))
        assert not isinstance(caught.value, Undeliverable)
        assert (smtp.logins, smtp.mails) == ([], [])


async def test_a_certificate_of_nobody_is_refused(here):
    _, tls = here
    async with fakes.fake_smtp(tls, auth=True) as smtp:
        with pytest.raises(DeliveryError):
            await send(options(smtp, smtp_user="bot", smtp_password="right"))
        assert (smtp.logins, smtp.mails) == ([], [])


async def test_a_certificate_of_another_host_is_refused(tmp_path):
    pem, tls = certificate(tmp_path, "other.test")
    async with fakes.fake_smtp(tls, auth=True) as smtp:
        with pytest.raises(DeliveryError):
            await send(options(smtp, smtp_ca=pem, smtp_user="bot", smtp_password="right"))
        assert (smtp.logins, smtp.mails) == ([], [])


async def test_a_wrong_password_is_tried_again_later_and_is_in_no_error(here):
    pem, tls = here
    async with fakes.fake_smtp(tls, auth=True) as smtp:
        with pytest.raises(DeliveryError, match="refuses smtp_user and smtp_password") as caught:
            await send(options(smtp, smtp_ca=pem, smtp_user="bot", smtp_password="hunter2"))
        assert not isinstance(caught.value, Undeliverable)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "tls"),
    [
        ({}, "none"),
        ({"smtp_host": "127.0.0.1"}, "none"),
        ({"smtp_host": "::1"}, "none"),
        ({"smtp_host": "mail.example.com"}, "starttls"),
        ({"smtp_host": "127.0.0.1.example.com"}, "starttls"),
        ({"smtp_port": 465}, "implicit"),
        ({"smtp_user": "u", "smtp_password": "p"}, "starttls"),
        ({"smtp_host": "mail.example.com", "smtp_tls": "none"}, "none"),
    ],
)
def test_tls_is_left_out_on_this_computer_only(given, tls):
    assert Options(port=1, address="bot@x.test", **given).tls == tls


@pytest.mark.parametrize(
    "given",
    [
        {"smtp_user": "u"},
        {"smtp_password": "p"},
        {"smtp_user": "u", "smtp_password": "p", "smtp_tls": "none"},
        {"address": "bot+x@x.test"},
        {"scope": "room"},
        {"address": None},
    ],
)
def test_what_cannot_be_meant_is_refused(given):
    with pytest.raises(ValueError):
        Options(**{"port": 1, "address": "bot@x.test", **given})


async def test_a_server_that_is_away_is_tried_again_later_and_later():
    async with fakes.fake_smtp() as smtp:
        given = options(smtp)
    for failures, delay in ((0, DELAYS[0]), (3, DELAYS[3]), (99, DELAYS[-1])):
        with pytest.raises(DeliveryError, match="cannot be reached") as caught:
            await send(given, failures=failures)
        assert caught.value.retry_after == delay


@pytest.mark.parametrize(("answer", "kind"), [("554 5.7.1 no", Undeliverable), ("452 4.2.2 full", DeliveryError)])
async def test_what_the_server_says_decides(answer, kind):
    async with fakes.fake_smtp() as smtp:
        smtp.answers = [answer]
        with pytest.raises(kind) as caught:
            await send(options(smtp))
        assert type(caught.value) is kind


async def test_addresses_beyond_ascii():
    async with fakes.fake_smtp() as smtp:
        await send(options(smtp), "jürgen@y.test")
        await send(options(smtp), with_ascii_domain("anna@bücher.test"))
        assert [recipients for _, recipients in smtp.envelopes] == [["jürgen@y.test"], ["anna@xn--bcher-kva.test"]]


async def test_a_server_that_takes_ascii_only_gets_nothing_else():
    async with fakes.fake_smtp(utf8=False) as smtp:
        with pytest.raises(Undeliverable, match="beyond ASCII"):
            await send(options(smtp), "jürgen@y.test")
        assert smtp.mails == []
    with pytest.raises(Undeliverable, match="domain"):
        with_ascii_domain(f"anna@{'ü' * 80}.test")


def test_a_file_that_is_no_certificate_is_named(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(ConfigError, match="smtp_ca: "):
        tls_context(Options(port=1, address="bot@x.test", smtp_ca=str(file)))


async def test_doctor_tells_whether_mails_are_taken(here):
    pem, tls = here
    async with fakes.fake_smtp(tls, auth=True) as smtp:
        good = options(smtp, smtp_ca=pem, smtp_user="bot", smtp_password="right", authserv_id="mx", max_bytes=20 << 20)
        assert [finding.level for finding in await check(good)] == ["ok"]
        wrong = good.model_copy(update={"smtp_password": options(smtp, smtp_user="b", smtp_password="x").smtp_password})
        assert [(finding.level, "password" in finding.what) for finding in await check(wrong)] == [("error", True)]
    assert [finding.level for finding in await check(options(smtp, smtp_tls="none"))] == ["warning", "error"]
