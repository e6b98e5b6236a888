"""Named places at which a test lets the process die, as by `kill -9`: ZOOZL_FAILPOINT="before-commit:3".

`accepted`        an event is durable, its acknowledgement is not sent
`before-consume`  a turn is about to call its plugin
`step-done`       the function of a step has returned, its result is not in the journal
`step-noted`      its result is in the journal, the plugin does not have it
`after-consume`   the plugin has returned, nothing is committed
`before-commit`   the rows of a transaction are written, it is not committed
`after-commit`    a transaction is on disk, nobody knows it yet
`sent`            a channel has sent a reply, it is not marked as delivered
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

NAMES = (
    "accepted",
    "before-consume",
    "step-done",
    "step-noted",
    "after-consume",
    "before-commit",
    "after-commit",
    "sent",
)
VARIABLE = "ZOOZL_FAILPOINT"


def _nothing(name: str, /) -> None:
    """No failpoint is set."""


def armed(setting: str, die: Callable[[], None]) -> Callable[[str], None]:
    """The function to call at every failpoint: `die` is called at the n-th hit of the one that `setting` names.

    `setting` is "name:n", or "name" for the first hit; "" is no failpoint. Raises ValueError for anything else.
    """
    if not setting:
        return _nothing
    wanted, _, count = setting.partition(":")
    if wanted not in NAMES or not (count or "1").isdecimal() or int(count or 1) < 1:
        raise ValueError(f"{VARIABLE} is one of {', '.join(NAMES)}, with a count from 1: before-commit:3")
    left = int(count or 1)

    def hit(name: str, /) -> None:
        nonlocal left
        if name == wanted:
            left -= 1
            if left == 0:
                die()

    return hit


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# Read once: a server without a failpoint pays a call of an empty function.
hit = armed(os.environ.get(VARIABLE, ""), _die)
