"""The world: databases, machines, files. Each backend stands alone behind a port of `services.ports`."""
