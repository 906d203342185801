"""The virtual terminal: what stands on a session's screen, exactly."""
