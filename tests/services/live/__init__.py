"""Live sessions without SSH: real services on an endpoint, a recording and consoles that only remember."""
