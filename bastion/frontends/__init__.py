"""Doors: they let people in and translate. They never decide."""
