"""Mails are written as the standard library writes them, only in less time."""

import os
from email import policy as library
from email.headerregistry import Address
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoozl.channels.email import policy

TEXTS = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp")), max_size=200),
    st.text(alphabet='ab <>@",;:()=?é', max_size=200),
)
# Examples of each fuzz test, if not the usual number; with many of them give pytest a longer --timeout as well.
FUZZ = int(os.environ.get("ZOOZL_TEST_FUZZ", "0"))
NAMES = ("Subject", "X-Loop", "Auto-Submitted", "In-Reply-To", "References", "Comments")


def written(given_policy, fields, text="hello\n"):
    mail = EmailMessage(policy=given_policy)
    for name, value in fields:
        mail[name] = value
    mail.set_content(text, cte="quoted-printable")
    mail.add_alternative(f"<p>{text}</p>", subtype="html", cte="quoted-printable")
    mail.add_attachment(b"x", maintype="text", subtype="csv", filename="naïve.csv")
    for number, part in enumerate(mail.walk()):
        if part.is_multipart():
            part.set_boundary(f"b{number}")
    return mail.as_bytes()


def outcome(*args):
    try:
        return written(*args)
    except Exception as exc:  # the library has faults of its own; then ours are the same
        return type(exc)


@settings(max_examples=FUZZ or 100, deadline=None)
@given(st.sampled_from(NAMES), TEXTS)
def test_fields_are_written_as_by_the_library(name, value):
    value = " ".join(value.split())
    ours, theirs = outcome(policy.SMTP, [(name, value)]), outcome(library.SMTP, [(name, value)])
    # What is no message id is left as it is: the library writes only what it can read of it.
    assert ours == theirs or "=?" in value


@settings(max_examples=FUZZ or 100, deadline=None)
@given(TEXTS, st.sampled_from(["a", "anna", "a.b", "a+b", "o'hara"]))
def test_mailboxes_are_written_as_by_the_library(name, local):
    name = " ".join(name.split()).replace("=?", "")
    mailbox = Address(name, username=local, domain="y.test")
    assert outcome(policy.SMTP, [("To", str(mailbox))]) == outcome(library.SMTP, [("To", mailbox)])


@pytest.mark.parametrize("evil", ["x\r\nBcc: v@z", "x\nBcc: v@z", "x\rBcc: v@z"])
@pytest.mark.parametrize("name", [*NAMES, "To", "X-Other"])
def test_no_line_break_gets_into_a_field(name, evil):
    with pytest.raises(ValueError, match="linefeed"):
        EmailMessage(policy=policy.SMTP)[name] = evil


def test_a_field_that_may_come_once_cannot_come_twice():
    mail = EmailMessage(policy=policy.SMTP)
    mail["Subject"] = "a"
    with pytest.raises(ValueError, match="at most 1 Subject"):
        mail["Subject"] = "b"


def test_addresses_beyond_ascii_are_written_as_they_are_where_that_is_possible():
    mail = EmailMessage(policy=policy.SMTP)
    mail["To"] = Address("Jürgen", username="jürgen", domain="y.test")
    assert "jürgen@y.test" in mail.as_bytes(policy=policy.SMTPUTF8).decode()
