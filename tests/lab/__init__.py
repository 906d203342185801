"""Real programs as the tests' world: sshd, the bastion itself, tmux. Each lives in a folder of its own."""
