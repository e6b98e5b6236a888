"""A mail that was read, written again as it came, line breaks aside.

The standard library folds header fields anew, and fails for what some of its parts take for a line break.
"""

from __future__ import annotations

import io
import re
from email.generator import BytesGenerator
from email.message import Message as Part
from email.policy import Compat32

LINE_BREAK = re.compile(r"\r\n|\r|\n")


class _AsItCame(Compat32):
    # Newer Pythons refuse to write what looks like two fields.
    verify_generated_headers = False

    def fold_binary(self, name: str, value: str) -> bytes:
        return f"{name}: {LINE_BREAK.sub(self.linesep, value)}{self.linesep}".encode("utf-8", "surrogateescape")


class _Writer(BytesGenerator):
    def _handle_multipart(self, msg: Part) -> None:
        if msg.is_multipart():
            super()._handle_multipart(msg)  # type: ignore[misc]
        else:
            # None of its parts was found: it is one text, which may have bytes beyond ASCII.
            self._handle_text(msg)  # type: ignore[attr-defined]


AS_IT_CAME = _AsItCame()


def mail(part: Part) -> bytes:
    """All of it; each line ends with LF."""
    written = io.BytesIO()
    _Writer(written, mangle_from_=False, policy=AS_IT_CAME).flatten(part)
    return written.getvalue()


def fields(part: Part) -> bytes:
    """Its header fields."""
    return b"".join(AS_IT_CAME.fold_binary(name, value) for name, value in part.raw_items())
