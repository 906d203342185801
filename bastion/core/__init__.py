"""What is decided, without doing it: every rule of the product as pure functions and state machines."""
