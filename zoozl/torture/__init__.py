"""`zoozl torture`: kill the server again and again under load, and check that it keeps its promises."""

from zoozl.torture.run import Plan, run

__all__ = ["Plan", "run"]
