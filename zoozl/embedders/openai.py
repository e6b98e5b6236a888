"""Any endpoint that speaks OpenAI's POST /embeddings: `embedder = "openai:MODEL"`, address and key in `[openai]`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoozl.errors import ConfigError, EmbeddingError, Unembeddable
from zoozl.settings import OpenAI

if TYPE_CHECKING:
    import httpx2
    import numpy as np
    from numpy.typing import NDArray

ENDPOINT = OpenAI.model_fields["base_url"].default
# What one request may weigh in UTF-8; endpoints refuse long ones, and each in another way.
MAX_REQUEST_BYTES = 1 << 20
# 2,048 vectors of 3,072 numbers, written out, are about 130 MB; nothing honest is longer.
MAX_RESPONSE_BYTES = 192 << 20
TRIES = 3
# The texts are to blame: too long, or refused by a policy.
REFUSED = (400, 413, 422)
# It may work in a moment.
PASSING = (408, 409, 425, 429)


def requests(texts: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    """`texts` in pieces of at most `most` texts and MAX_REQUEST_BYTES (a longer text goes alone), in order."""
    start, weight = 0, 0
    for at, text in enumerate(texts):
        weighs = len(text.encode())
        if at > start and (at - start == most or weight + weighs > MAX_REQUEST_BYTES):
            yield texts[start:at]
            start, weight = at, 0
        weight += weighs
    if start < len(texts):
        yield texts[start:]


def decode(body: bytes, count: int) -> NDArray[np.float32]:
    """The vectors in a response to `count` texts, each of length 1; raises EmbeddingError unless they are just that."""
    import numpy as np
    import orjson

    try:
        items = sorted(orjson.loads(body)["data"], key=lambda item: item["index"])
        indices = [item["index"] for item in items]
        rows = [item["embedding"] for item in items]
    except (ValueError, TypeError, KeyError) as exc:
        raise EmbeddingError("the response is no list of embeddings") from exc
    if indices != list(range(count)):
        raise EmbeddingError(f"the response has {len(indices)} embeddings for {count} texts, or numbers them wrongly")
    try:
        vectors = np.array(rows, np.float64)
    except (ValueError, TypeError, OverflowError) as exc:
        raise EmbeddingError("the embeddings are no numbers, or not of one length") from exc
    if vectors.ndim != 2 or not vectors.shape[1] or not np.isfinite(vectors).all():
        raise EmbeddingError("the embeddings are no lists of finite numbers")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for, in either of its forms; None if it says nothing."""
    if not value:
        return None
    try:
        seconds = float(value) if value.strip().isascii() else -1.0
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds()
    return min(seconds, 86_400.0) if seconds >= 0 else None


class Embedder:
    """Text to unit vectors as the endpoint computes them; every text is sent there.

    Blocking; safe to call from several threads at once. `timeout` (seconds) bounds a request with all its tries.
    """

    # A request for many texts costs hardly more than one for a single text, and each gets the same vector.
    batches = True

    def __init__(
        self,
        model: str,
        *,
        base_url: str = ENDPOINT,
        key: str | None = None,
        timeout: float = 10.0,
        dimensions: int | None = None,
        batch_size: int = 256,
    ) -> None:
        """`batch_size`: most texts in one request. Raises ConfigError if `key` can be no key."""
        if key is not None and not (key.isascii() and key.isprintable()):
            raise ConfigError("the key for the embeddings has characters that no header takes")
        self.about = f"openai {model} at {base_url}"
        shortened = f"/{dimensions}" if dimensions else ""
        # Two endpoints may run one model in different precisions.
        self.name = f"openai:{model}{shortened}@{base_url}"
        self._url = f"{base_url}/embeddings"
        self._payload: dict[str, Any] = {"model": model, "encoding_format": "float"}
        if dimensions:
            self._payload["dimensions"] = dimensions
        self._key = key
        self._timeout = timeout
        self._most = batch_size
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._closed = threading.Event()

    @classmethod
    def configured(cls, model: str, table: Mapping[str, Any], folder: Path, environ: Mapping[str, str]) -> Embedder:
        """See `registry.embedder`. Raises ConfigError if a key is wanted and not there."""
        if not model.strip():
            raise ConfigError('write which model: for example "openai:text-embedding-3-small"')
        options = OpenAI.model_validate(table)
        key = environ.get(options.api_key_env, "").strip() or None
        if key is None and (options.base_url == ENDPOINT or "api_key_env" in table):
            raise ConfigError(f'"openai:{model}" needs a key: set the environment variable {options.api_key_env}')
        return cls(model, key=key, **options.model_dump(exclude={"api_key_env"}))

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must appear in no log."""
        return (self._key,) if self._key else ()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of `texts`, shape (n, d), each of length 1.

        Raises Unembeddable if the endpoint refuses the texts, EmbeddingError for all else.
        """
        import numpy as np

        prepared = [_prepared(text) for text in texts]
        parts = [decode(self._asked(part), len(part)) for part in requests(prepared, self._most)]
        if len({part.shape[1] for part in parts}) > 1:
            raise EmbeddingError("the embeddings are not of one length")
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def close(self) -> None:
        """End what is waiting; it cannot be used any more."""
        self._closed.set()
        with self._lock:
            if self._client is not None:
                self._client.close()

    def _asked(self, texts: Sequence[str]) -> bytes:
        """The body of the response to `texts`, tried again while that may help and time is left."""
        deadline = time.monotonic() + self._timeout
        for attempt in range(1, TRIES + 1):
            try:
                return self._post(texts, deadline)
            except Unembeddable:
                raise
            except _Passing as exc:
                pause = exc.retry_after if exc.retry_after is not None else 0.25 * 2**attempt
                if attempt == TRIES or time.monotonic() + pause >= deadline:
                    raise EmbeddingError(str(exc), exc.retry_after) from exc
            if self._closed.wait(pause):
                raise EmbeddingError("the embedder is closed")
        raise AssertionError

    def _post(self, texts: Sequence[str], deadline: float) -> bytes:
        import httpx2

        left = max(deadline - time.monotonic(), 0.01)
        try:
            with self._http().stream("POST", self._url, json={**self._payload, "input": texts}, timeout=left) as answer:
                body = self._body(answer, deadline)
                self._check(answer)
                return body
        except httpx2.TimeoutException as exc:
            raise EmbeddingError(f"no answer within {self._timeout:g} s") from exc
        except httpx2.TransportError as exc:
            raise _Passing(f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__) from exc
        except RuntimeError as exc:  # what the library raises for a client that is closed
            if not self._closed.is_set():
                raise
            raise EmbeddingError("the embedder is closed") from exc
        except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
            raise EmbeddingError(f"{type(exc).__name__}: {exc}") from exc

    def _body(self, answer: httpx2.Response, deadline: float) -> bytes:
        body = bytearray()
        # The library's time-out is for each read: an answer that drips would never end.
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > MAX_RESPONSE_BYTES:
                raise EmbeddingError("the response is too long")
            if time.monotonic() > deadline or self._closed.is_set():
                raise EmbeddingError(f"no answer within {self._timeout:g} s")
        return bytes(body)

    def _check(self, answer: httpx2.Response) -> None:
        """Raise what the status means. The body is not quoted: it may repeat texts or the key."""
        status = answer.status_code
        if status == 200:
            return
        text = f"{self._url} answered {status} {answer.reason_phrase}".rstrip()
        if status in REFUSED:
            raise Unembeddable(text)
        if status in PASSING or status >= 500:
            raise _Passing(text, retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)))
        if status in (401, 403):
            raise EmbeddingError(f"{text}: is the key right?")
        if status == 404:
            raise EmbeddingError(f"{text}: are base_url and the model's name right?")
        raise EmbeddingError(text)

    def _http(self) -> httpx2.Client:
        with self._lock:
            if self._closed.is_set():
                raise EmbeddingError("the embedder is closed")
            if self._client is None:
                import httpx2

                headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
                # No redirects: they would carry the texts, and maybe the key, to where nobody decided to send them.
                self._client = httpx2.Client(headers=headers, follow_redirects=False)
            return self._client


class _Passing(EmbeddingError):
    """It may work in a moment."""


def _prepared(text: str) -> str:
    # Half a surrogate pair can arrive in JSON ("\ud83d"); UTF-8 has none. An empty text is refused by OpenAI.
    return text.strip().encode("utf-8", "replace").decode("utf-8") or " "
