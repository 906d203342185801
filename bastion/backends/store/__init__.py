"""The store: accounts, endpoints, sealed secrets, sessions and the audit log, on SQLAlchemy and SQLite. Never decides."""

from bastion.backends.store.store import Store, open_store

__all__ = ["Store", "open_store"]
