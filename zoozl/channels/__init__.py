"""Channels carry messages between a platform and the core: one file each."""

NOT_LISTED = {"access", "bucket", "http", "loop_breaker", "pace", "planned", "reconnect", "render", "terminal"}
