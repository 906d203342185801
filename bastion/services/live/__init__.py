"""Live sessions: one actor owns each, a registry finds them, seats connect people to them."""
