"""Channels carry messages between a platform and the core: one file each."""

NOT_LISTED = {"http", "planned", "render", "terminal"}
