"""The bundled embedder: all-MiniLM-L6-v2 in 8 bits, run by onnxruntime on one thread.

`build_minilm.py` tells how the files in `minilm/` were made and what was measured to choose them.
"""

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoozl.errors import EmbeddingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

FOLDER = Path(__file__).with_name("minilm")
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
BACKGROUND_FILE = "background.npz"
SHA256 = {
    MODEL_FILE: "ad5eca24e787cdedc98681e00268823e11922438eae4c88fb8bd541a33992792",
    TOKENIZER_FILE: "32d70b45ea2679485328eafb8a5a94dcc9fbaadaf0c92b7ca06fe5684a4b8389",
}
# The model reads 256 tokens, about 1,200 characters of English; the rest would only cost time.
MAX_CHARACTERS = 4_000


class Embedder:
    """Text to unit vectors of 384 numbers, alike for texts that mean alike (English; other languages roughly).

    Blocking; safe to call from several threads at once. Making one is cheap: the model is read by `load`, or by the
    first `embed`. It has no settings.
    """

    about = "minilm (bundled)"
    # Vectors may be kept under this name: another model file has another name.
    name = f"minilm-l6-v2/int8-{SHA256[MODEL_FILE][:8]}"
    dimension = 384
    # Of other scripts the model has hardly more than single letters: their words are compared by the letter.
    latin_only = True

    def __init__(self, conf: Mapping[str, object] | None = None, *, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._model: tuple[Tokenizer, Any] | None = None
        self._background: dict[str, NDArray[np.float32]] = {}

    def load(self) -> None:
        """Read the model, once; raises EmbeddingError if that is impossible."""
        self._loaded()

    def embed(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """The vectors of `texts`, shape (n, 384), each of length 1; raises EmbeddingError.

        A text's vector depends on nothing but that text, since each is run by itself and without padding. White space
        around a text does not count. An empty text has a vector too, the one sentence-transformers gives it: the
        model's reading of its start and end marks with nothing between them, near to no text in particular.
        """
        import numpy as np

        self._loaded()
        new = self.compute([text for text in texts if text not in self._background])
        if len(new) == len(texts):
            return new
        rows = iter(new)
        return np.stack([self._background[text] if text in self._background else next(rows) for text in texts])

    def compute(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """The same, without the vectors that came with the model."""
        # Here, not above: the port is open by the time the first text comes.
        import numpy as np

        tokenizer, session = self._loaded()
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            ids = np.array([tokenizer.encode(_prepared(text)).ids], np.int64)
            try:
                vectors[row] = session.run(None, {"ids": ids})[0][0]
            except Exception as exc:  # onnxruntime's own errors have no common base but this
                raise EmbeddingError(f"the bundled model failed: {exc}") from exc
        return vectors

    def _loaded(self) -> "tuple[Tokenizer, Any]":
        with self._lock:
            if self._model is None:
                self._model = self._read()
                self._background = self._shipped()
            return self._model

    def _shipped(self) -> "dict[str, NDArray[np.float32]]":
        """Vectors of generic sentences; a copy of the model elsewhere comes without them."""
        import numpy as np

        path = self._folder / BACKGROUND_FILE
        if not path.exists():
            return {}
        with np.load(path, allow_pickle=False) as file:
            return dict(zip(file["texts"].tolist(), file["vectors"], strict=True))

    def _read(self) -> "tuple[Tokenizer, Any]":
        # Imported here: both cost time and memory that a bot with another embedder need not pay.
        # Before the import: onnxruntime would leave a device id and a database of events in the home folder, to be
        # sent to its maker.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        try:
            import onnxruntime  # type: ignore[import-untyped]
            from tokenizers import Tokenizer
        except ImportError as exc:
            raise EmbeddingError(f"the bundled embedder needs onnxruntime and tokenizers: {exc}") from exc

        for name, expected in SHA256.items():
            _check(self._folder / name, expected)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # It would keep a plan for every length of text. The arena, which stays on, is bounded by the longest text
        # (13 MB here); without it the same memory stays in the C library's heaps, and more of it.
        options.enable_mem_pattern = False
        options.log_severity_level = 3  # errors
        try:
            tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER_FILE))
            session = onnxruntime.InferenceSession(
                self._folder / MODEL_FILE, options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # neither library's errors have a common base but this
            raise EmbeddingError(
                f"the bundled model in {self._folder} cannot be loaded by onnxruntime {onnxruntime.__version__}: {exc}"
            ) from exc
        return tokenizer, session


def _check(path: Path, expected: str) -> None:
    # A damaged weight still loads and gives vectors, only wrong ones; hashing takes a few hundredths of a second.
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise EmbeddingError(f"the bundled model cannot be read: {exc}; reinstall zoozl") from exc
    if found != expected:
        raise EmbeddingError(f"the bundled model file {path} is damaged (SHA-256 {found}); reinstall zoozl")


def _prepared(text: str) -> str:
    # Half a surrogate pair can arrive in JSON ("\ud83d"); the tokenizer takes none.
    return text.strip()[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
