"""E-mail: LMTP in, SMTP out; a mail's author is the talker."""

from zoozl.channels.email.channel import Channel
from zoozl.channels.email.options import Options

__all__ = ["Channel", "Options"]
