"""Recordings as values: the asciicast format and the side files. Never opens a file."""
