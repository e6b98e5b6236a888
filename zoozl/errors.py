"""The exceptions zoozl raises on purpose.

ZoozlError
+-- ConfigError            the operator's configuration cannot be used; ends the start with exit code 2
|   +-- ExtensionError     an extension cannot be imported, or its plugins clash
+-- Overloaded             a lane or the server is full; the sender may try again
+-- StoreError             the store cannot read or write; nothing was acknowledged
+-- DeliveryError          a channel could not deliver a reply; it is retried
|   +-- Undeliverable      ... and no later try can succeed
+-- EmbeddingError         the embedder is not usable now
+-- DataError              a plugin left something in conversation.data that is not JSON
"""


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


class DeliveryError(ZoozlError):
    """A reply could not be delivered now; `retry_after` is the platform's wish in seconds, if it had one."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Undeliverable(DeliveryError):
    """A reply that no later try can deliver (the room is gone, the payload is refused)."""


class EmbeddingError(ZoozlError):
    """The embedder cannot compute vectors now."""


class DataError(ZoozlError):
    """`conversation.data` holds something that JSON cannot carry."""
