"""The index of what stood on screens and what was typed, on SQLite's FTS5 with trigrams, in a file of its own."""

from bastion.backends.search.index import SqliteIndex

__all__ = ["SqliteIndex"]
