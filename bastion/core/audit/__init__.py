"""What is written down about who did what, chained so that a change shows. Never stores anything."""
