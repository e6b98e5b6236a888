"""Which posts are for the bot, and what is said in them besides its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoozl.channels.mattermost.decode import Post

# What people write: "" is a plain post, "me" the /me command, the third one has attachments.
SAID = ("", "me", "slack_attachment")
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
EVERYBODY = re.compile(r"(?<![\w.@-])@(all|channel|here)(?![\w-])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Me:
    """Who the bot is there. `names` are those it is mentioned by, without @."""

    id: str
    names: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """A regular expression for one of the names."""
        return "|".join(re.escape(name) for name in sorted(self.names, key=len, reverse=True))


def is_said(post: Post, me: Me, *, bots: bool) -> bool:
    """Whether somebody else said this, and not the system; of other bots and webhooks with `bots` only."""
    return post.user_id != me.id and not post.deleted and post.type in SAID and (bots or not post.from_bot)


def mentions(post: Post, me: Me) -> bool:
    """Whether the bot is spoken to by name.

    The text decides where it can, because a post that is fetched later comes without the list of those mentioned.
    """
    text = CODE.sub(" ", post.text)
    if me.names and re.search(rf"(?<![\w.@-])@(?:{me.pattern})(?!\w|[.-]\w)", text, re.IGNORECASE):
        return True
    return me.id in post.mentions and not EVERYBODY.search(text)


def words(text: str, me: Me) -> str:
    """What is said, without the bot's name in front of it."""
    if not me.names:
        return text.strip()
    name = rf"(?:@(?:{me.pattern})(?!\w|[.-]\w)[:,]?|(?:{me.pattern})[:,])"
    return re.sub(rf"^\s*{name}\s*", "", text, count=1, flags=re.IGNORECASE).strip()
