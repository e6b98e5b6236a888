"""What the drivers declare and the suite checks, as a table in Markdown: a row a capability, a column a channel."""

from __future__ import annotations

from collections.abc import Sequence

from zoozl.testing.conformance.capability import Capability, Limit
from zoozl.testing.conformance.driver import Driver
from zoozl.testing.conformance.suite import tests_of


class Notes:
    """Sentences below a table; the same sentence has the same number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, sentence: str) -> str:
        """What refers to it in a cell; "" for no sentence."""
        return f"[{self._numbers.setdefault(sentence, len(self._numbers) + 1)}]" if sentence else ""

    def lines(self) -> list[str]:
        """The list of all."""
        return [f"{number}. {sentence}" for sentence, number in self._numbers.items()]


def table(drivers: Sequence[type[Driver]]) -> str:
    """Every capability, then the limits, then the notes.

    Raises ValueError for a capability that no test proves.
    """
    notes = Notes()
    lines = [_row("", *(driver.title for driver in drivers)), _row("---", *[":-:"] * len(drivers))]
    for capability in Capability:
        if not tests_of(capability):
            raise ValueError(f"no test proves {capability.name}")
        lines.append(_row(capability.value, *(_cell(driver, capability, notes) for driver in drivers)))
    lines.append(_row("Longest message of the bot's", *(_limit(driver, Capability.SPLIT, notes) for driver in drivers)))
    lines.append(_row("Largest file from people", *(_limit(driver, Capability.FILES_IN, notes) for driver in drivers)))
    return "\n".join([*lines, "", *notes.lines(), ""])


def _cell(driver: type[Driver], capability: Capability, notes: Notes) -> str:
    reason = driver.absent.get(capability)
    if reason is not None:
        return f"no {notes.mark(reason)}"
    return f"yes {notes.mark(driver.notes.get(capability, ''))}".rstrip()


def _limit(driver: type[Driver], capability: Capability, notes: Notes) -> str:
    limit = driver.text_limit if capability is Capability.SPLIT else driver.file_limit
    if limit is None:
        return f"any {notes.mark(driver.absent[capability])}" if capability is Capability.SPLIT else "none"
    return spelled(limit)


def spelled(limit: Limit) -> str:
    """A limit as people read it, with the option that changes it."""
    mega, rest = divmod(limit.amount, 1 << 20)
    amount, unit = (
        (f"{mega} Mi", limit.unit.replace("bytes", "B", 1)) if mega and not rest else (f"{limit.amount:,} ", limit.unit)
    )
    return f"{amount}{unit}" + (f", `{limit.option}`" if limit.option else "")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
