"""The SSH door: logins, channels as consoles. What is typed goes to the command tree."""
