"""The steps, oldest first. Never changed once released."""
