"""What a step raised is kept as JSON and made again."""

import json

import pytest

from zoozl.chatbot.failures import dump, load
from zoozl.errors import DataError


class Coded(Exception):
    class Inner(Exception):
        pass

    def __init__(self, *, code, source=None):
        super().__init__(f"code {code}", source)
        self.code = code
        self.source = source


@pytest.mark.parametrize(
    "exc",
    [
        ValueError("no"),
        KeyError("key"),
        OSError(2, "not there"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        TimeoutError(),
        DataError("wrong"),
        Coded.Inner("deep", 1, [2]),
    ],
    ids=lambda exc: type(exc).__name__,
)
def test_it_comes_back_as_its_class_with_its_arguments(exc):
    again = load(json.loads(json.dumps(dump(exc))))
    assert type(again) is type(exc)
    assert again.args == tuple(arg if not isinstance(arg, bytes) else str(arg) for arg in exc.args)


def test_attributes_come_back_and_what_is_no_json_does_not():
    again = load(json.loads(json.dumps(dump(Coded(code=7, source=object)))))
    assert (again.code, again.args) == (7, ("code 7", str(object)))
    assert not hasattr(again, "source")


@pytest.mark.parametrize(
    "error", [["no_such_module", "X"], ["builtins", "NoSuch"], ["builtins", "dict"], ["builtins", "SystemExit"]]
)
def test_what_is_no_exception_is_not_made(error):
    with pytest.raises(LookupError):
        load({"error": error, "args": [], "attributes": {}})


def test_a_class_that_wants_more_is_not_made():
    with pytest.raises(LookupError):
        load({"error": ["builtins", "ExceptionGroup"], "args": ["a"], "attributes": {}})
