"""A suite that every channel passes, those of zoozl and yours: docs/howto/write-a-channel.md.

class TestMyChannel(Conformance):
    driver_class = MyDriver
"""

import pytest

# Before they are imported: what a failed assert compares is shown.
pytest.register_assert_rewrite(
    *(f"{__name__}.{name}" for name in ("commands", "flood", "forms", "growing", "guards", "inbound", "outbound")),
    *(f"{__name__}.{name}" for name in ("slow_store", "suite", "talk")),
)

from zoozl.testing.conformance.capability import Capability, Limit  # noqa: E402
from zoozl.testing.conformance.driver import (  # noqa: E402
    ANNA,
    BERT,
    BOSS,
    ROOM,
    Blank,
    Driver,
    File,
    Heard,
    Outcome,
    Said,
    Sheet,
)
from zoozl.testing.conformance.suite import Conformance  # noqa: E402

__all__ = [
    "ANNA",
    "BERT",
    "BOSS",
    "ROOM",
    "Blank",
    "Capability",
    "Conformance",
    "Driver",
    "File",
    "Heard",
    "Limit",
    "Outcome",
    "Said",
    "Sheet",
]
