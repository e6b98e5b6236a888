"""What the core itself says about an end: to the talker, in English, and to the plugin."""

from __future__ import annotations

from zoozl.chatbot.run import Ending

APOLOGY = "Sorry, something went wrong here. It has been noted."
TOO_SLOW = "Sorry, this took too long and was stopped."
BUSY = "Sorry, this is busy at the moment. Please try again later."
NOT_ALLOWED = "Sorry, you may not use this."
CANCELLED = "Cancelled."
NOTHING_TO_CANCEL = "There is nothing to cancel."
EXPIRED = "Sorry, I have waited too long for an answer. Please begin again."
CHANGED = "Sorry, I have changed meanwhile and lost the thread. Please begin again."
IN_PRIVATE = "This is for the two of us: please write to me directly."
UNKNOWN_COMMAND = "There is no {}. Did you mean {}?"
USAGE = "{}\nUsage: {}"
GO_ON_HERE = "Let us go on here: write “{}” to begin."

EXCUSES = {
    Ending.FAILED: APOLOGY,
    Ending.TIMEOUT: TOO_SLOW,
    Ending.BUSY: BUSY,
    Ending.EXPIRED: EXPIRED,
    Ending.UNFIT: CHANGED,
}
"""What the talker is told, after whatever the plugin had said."""

REASONS = {
    Ending.DONE: "done",
    Ending.FAILED: "failed",
    Ending.TIMEOUT: "failed",
    Ending.UNFIT: "failed",
    Ending.EXPIRED: "timeout",
    Ending.CANCELLED: "cancelled",
    Ending.REPLACED: "replaced",
}
"""What `on_end` hears."""
