"""Lists of endpoints as files say them: our YAML, CSV, ssh_config, Ansible. Never reads a file, never stores."""
