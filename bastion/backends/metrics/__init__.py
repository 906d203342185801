"""What the process tells of itself: numbers and log lines. Never anything that a person typed or saw."""
