"""Any sentence-transformers model, by its name on the hub or from a folder: `embedder = "sentence:MODEL"`."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoozl.errors import ConfigError, EmbeddingError
from zoozl.settings import Sentence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INSTALL = "pip install 'zoozl[semantic]'"
# What tells one set of weights from another.
PROBES = ("cancel my order", "Wo ist die nächste Bank?")


def located(model: str, folder: Path) -> str | Path:
    """The folder that `model` means, or `model` itself if it is the name of one on the hub.

    A path begins with /, . or ~, or is there; relative ones start at `folder`.
    """
    path = folder / Path(model).expanduser()
    return path.resolve() if model.startswith((".", "~")) or Path(model).is_absolute() or path.is_dir() else model


class Embedder:
    """Text to unit vectors as the model means them.

    Blocking; safe to call from several threads, which take turns. Making one is cheap: the model is read by `load`, or
    by the first `embed`. A model from a folder needs no network, one of the hub only until it was fetched once.
    """

    # One text at a time: in company a text is padded, and its vector would change with its neighbours.
    batches = False

    def __init__(
        self, model: str | Path, *, device: str = "cpu", threads: int = 1, revision: str | None = None
    ) -> None:
        """`model` is a folder if it is a Path. Raises ConfigError if sentence-transformers is not installed."""
        if importlib.util.find_spec("sentence_transformers") is None:
            raise ConfigError(f'embedder "sentence:{model}" needs sentence-transformers: {INSTALL}')
        self._source = model
        self._device = device
        self._threads = threads
        self._revision = revision
        self._lock = threading.RLock()
        self._model: Any = None
        self._fingerprint = ""

    @classmethod
    def configured(cls, model: str, table: Mapping[str, Any], folder: Path, environ: Mapping[str, str]) -> Embedder:
        """See `registry.embedder`. Raises ConfigError."""
        if not model.strip():
            raise ConfigError('write which model: "sentence:all-MiniLM-L6-v2", or "sentence:/path/to/model"')
        return cls(located(model, folder), **Sentence.model_validate(table).model_dump())

    @property
    def name(self) -> str:
        """What identifies the vectors; complete when the model is loaded."""
        model = self._source.name if isinstance(self._source, Path) else self._source
        return f"sentence:{model}{self._fingerprint}"

    @property
    def about(self) -> str:
        """What is shown at the start."""
        revision = f" at {self._revision}" if self._revision else ""
        return f"sentence-transformers {self._source}{revision} on {self._device}"

    def load(self) -> None:
        """Read the model, once; raises EmbeddingError if that is impossible."""
        with self._lock:
            if self._model is None:
                self._model = self._read()
                vectors = self.embed(PROBES).round(3) + 0.0  # -0.0 is 0.0 as well
                self._fingerprint = f"/{hashlib.sha256(vectors.tobytes()).hexdigest()[:12]}"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of `texts`, shape (n, d), each of length 1; raises EmbeddingError."""
        import numpy as np

        with self._lock:
            self.load()
            try:
                rows = [
                    self._model.encode(
                        [_prepared(text)],
                        batch_size=1,
                        show_progress_bar=False,
                        convert_to_numpy=True,
                        normalize_embeddings=True,
                    )[0]
                    for text in texts
                ]
            except Exception as exc:  # torch's errors have no common base but this
                raise EmbeddingError(f"the model {self._source} failed: {type(exc).__name__}: {exc}") from exc
        return np.array(rows, np.float32) if rows else np.empty((0, 0), np.float32)

    def _read(self) -> Any:
        if isinstance(self._source, Path) and not self._source.is_dir():
            raise EmbeddingError(f"there is no model in {self._source}: no such folder")
        # Its own threads would be started for nothing, and it warns about them when a process forks.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            torch: Any = import_module("torch")
            library: Any = import_module("sentence_transformers")
            shown: Any = import_module("transformers.utils.logging")
        except Exception as exc:  # a broken installation fails in many ways
            raise EmbeddingError(f"sentence-transformers cannot be imported ({exc}): {INSTALL}") from exc
        shown.disable_progress_bar()
        # One line for each of its retries; the service tells once what is wrong.
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        if self._device == "cpu":
            torch.set_num_threads(self._threads)

        def read(*, local: bool) -> Any:
            options = {"device": self._device, "revision": self._revision, "local_files_only": local}
            return library.SentenceTransformer(str(self._source), **options).eval()

        try:
            try:
                return read(local=True)
            except Exception:  # nor has what the library raises when a model was never fetched
                if isinstance(self._source, Path):
                    raise
                return read(local=False)
        except Exception as exc:  # the same
            reason = " ".join(str(exc).split())
            raise EmbeddingError(f"the model {self._source} cannot be loaded: {type(exc).__name__}: {reason}") from exc


def _prepared(text: str) -> str:
    # Half a surrogate pair can arrive in JSON ("\ud83d"); no tokenizer takes one.
    return text.strip().encode("utf-8", "replace").decode("utf-8")
