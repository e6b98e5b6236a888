"""The reliability of scores as a picture: how often the best guess was right, by its score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoozl.errors import ZoozlError
from zoozl.routes.measure import Bin

WIDTH = 40
FULL, PARTS = "█", " ▏▎▍▌▋▊▉"


class PlotError(ZoozlError):
    """The picture cannot be made."""


def lines(bins: Sequence[Bin]) -> list[str]:
    """For the terminal."""
    found = [f"score      right  messages  {'0 %':<{WIDTH - 5}}100 %"]
    for one in bins:
        share = one.right / one.count if one.count else 0.0
        shown = f"{share:6.0%}" if one.count else "      "
        found.append(f"{one.low:.1f}-{one.high:.1f}   {shown}  {one.count:8}  {bar(share)}".rstrip())
    return found


def bar(share: float, width: int = WIDTH) -> str:
    """`share` (0 to 1) of `width`, to an eighth of a character."""
    eighths = round(share * width * 8)
    return (FULL * (eighths // 8) + PARTS[eighths % 8]).rstrip()


def png(bins: Sequence[Bin], path: Path) -> None:
    """Write the same as a PNG. Raises PlotError, also without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as exc:
        raise PlotError("a plot needs matplotlib: pip install 'zoozl[plot]'") from exc
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    some = [one for one in bins if one.count]
    middles = [(one.low + one.high) / 2 for one in some]
    shares = [one.right / one.count for one in some]
    axes.bar(middles, shares, width=0.09, color="#2563eb")
    for middle, share, one in zip(middles, shares, some, strict=True):
        axes.annotate(str(one.count), (middle, share), ha="center", va="bottom", fontsize=8)
    axes.axvline(0.5, color="#888", linestyle="--", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.05), xlabel="score", ylabel="best guess was right")
    axes.set_title("Reliability (numbers of messages above the bars)", fontsize=10)
    try:
        figure.savefig(path, format="png", dpi=120)
    except OSError as exc:
        raise PlotError(f"{path}: cannot be written: {exc.strerror}") from exc
