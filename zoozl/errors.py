"""The exceptions zoozl raises on purpose.

ZoozlError
+-- ConfigError            the operator's configuration cannot be used; ends the start with exit code 2
|   +-- ExtensionError     an extension cannot be imported, or its plugins clash
+-- Overloaded             a lane or the server is full; the sender may try again
+-- StoreError             the store cannot read or write; nothing was acknowledged
+-- DeliveryError          a channel could not deliver a reply; it is retried
|   +-- Away               ... until the talker comes back; the channel will say so
|   +-- Undeliverable      ... and no later try can succeed
+-- EmbeddingError         the embedder is not usable now
|   +-- Unembeddable       ... for this text; it is for others
+-- VaultError             a secret cannot be sealed or opened: no key, or the wrong one
+-- DataError              a plugin left something in conversation.data that is not JSON
+-- DialogEnded            the dialog in which a plugin asked is over; `reason` says why
|   +-- AskTimeout         ... because nobody answered in time
"""

import traceback


class ZoozlError(Exception):
    """Base of everything zoozl raises on purpose."""


class ConfigError(ZoozlError):
    """The configuration cannot be used. The text names the place, the key, the reason and a cure."""


class ExtensionError(ConfigError):
    """An extension cannot be imported, or two plugins claim the same alias."""


class Overloaded(ZoozlError):
    """No room for another event now: nothing was accepted, the sender may try again."""


class StoreError(ZoozlError):
    """The store could not read or write: what was asked for did not happen."""


class Unstorable(StoreError):
    """It never will: a value in it is none that a store can take. Trying again helps nobody."""


class DeliveryError(ZoozlError):
    """A reply could not be delivered now; `retry_after` is the platform's wish in seconds, if it had one."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Away(DeliveryError):
    """The talker is not there now; the channel says when to go on (`Chatbot.resume`)."""


class Undeliverable(DeliveryError):
    """A reply that no later try can deliver (the room is gone, the payload is refused)."""


class EmbeddingError(ZoozlError):
    """The embedder cannot compute vectors now; `retry_after` is the endpoint's wish in seconds, if it had one."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Unembeddable(EmbeddingError):
    """The embedder refuses these texts, which says nothing about others."""


class VaultError(ZoozlError):
    """The vault has no key, or none that fits. The text names the setting, and never a secret."""


class DataError(ZoozlError):
    """`conversation.data` holds something that JSON cannot carry."""


class DialogEnded(ZoozlError):
    """Raised by `ask` and its kin when no answer will come: the talker cancelled, or nothing happened for long.

    `reason` is "cancelled", "idle" or "timeout". A plugin may catch it to clean up; it cannot ask again.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the dialog is over: {reason}")
        self.reason = reason


class AskTimeout(DialogEnded):
    """A question with a `timeout` and no `default` was not answered. The dialog itself goes on if this is caught."""

    def __init__(self) -> None:
        super().__init__("timeout")


def describe(exc: BaseException) -> str:
    """One line on an exception of foreign code, for whoever caught it: kind, text, file and line it came from."""
    if isinstance(exc, SyntaxError) and exc.filename:
        return f"{type(exc).__name__}: {exc.msg} ({exc.filename}, line {exc.lineno})"
    # The first frame is the one that caught it.
    frames = [frame for frame in traceback.extract_tb(exc.__traceback__)[1:] if "importlib" not in frame.filename]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(exc).__name__}: {' '.join(str(exc).split())}{where}"
