"""Plugins that come with zoozl."""
