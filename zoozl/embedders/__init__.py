"""Embedders turn text into vectors: one file each."""

NOT_LISTED = {"build_minilm"}
