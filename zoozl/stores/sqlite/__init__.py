"""The embedded store: one SQLite file, one writer thread, group commit."""

from zoozl.stores.sqlite.store import Store

__all__ = ["Store"]
