"""The number of the turn that is running, for log lines."""

from contextvars import ContextVar

turn_id: ContextVar[int] = ContextVar("turn_id", default=0)
"""The `seq` of the event whose turn this is, or of the reply that is being sent; 0 outside. Threads of plugins that
zoozl runs have it too."""
