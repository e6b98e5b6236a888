"""Channels carry messages between a platform and the core: one file each."""

NOT_LISTED = {"access", "http", "loop_breaker", "planned", "reconnect", "render", "terminal"}
