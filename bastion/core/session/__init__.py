"""One session: who takes part, who may type, what happens next. Never performs what it decides."""
