"""The tables as they are now. Never creates them: migrations do, and a test compares the two.

Only types that SQLite and PostgreSQL share. Times are seconds since the epoch, lists and maps are JSON text.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ID = sa.String(32)
NAME = sa.String(64)
TIME: sa.Double[float] = sa.Double()

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("name", NAME, nullable=False, unique=True),
    sa.Column("roles", sa.JSON, nullable=False),
    sa.Column("full_name", sa.Text, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created_at", TIME, nullable=False),
)

user_keys = sa.Table(
    "user_keys",
    metadata,
    sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("public", sa.Text, nullable=False),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("added_at", TIME, nullable=False),
    sa.Column("last_used_at", TIME),
)

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("name", NAME, nullable=False, unique=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("command", sa.JSON, nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("legacy", sa.Boolean, nullable=False),
    sa.Column("created_at", TIME, nullable=False),
)

endpoint_logins = sa.Table(
    "endpoint_logins",
    metadata,
    sa.Column("endpoint_id", ID, sa.ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("method", sa.String(16), nullable=False),
    # No foreign key: a credential may be stored after the endpoint that will use it
    sa.Column("credential_id", ID, index=True),
)

endpoint_host_keys = sa.Table(
    "endpoint_host_keys",
    metadata,
    sa.Column("endpoint_id", ID, sa.ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("algorithm", sa.Text, nullable=False),
    sa.Column("public", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("added_at", TIME, nullable=False),
    sa.Column("added_by", sa.Text, nullable=False),
)

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_at", TIME, nullable=False),
)

# What people did stays when they or the endpoint are removed: names, and no foreign keys
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", ID, primary_key=True),
    sa.Column("user_id", ID, nullable=False),
    sa.Column("user", NAME, nullable=False),
    sa.Column("endpoint", NAME, nullable=False),
    sa.Column("login", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("started_at", TIME, nullable=False, index=True),
    sa.Column("ended_at", TIME),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("exit_status", sa.Integer),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("recording", sa.Text, nullable=False),
    sa.Column("bytes_out", sa.BigInteger, nullable=False),
    sa.Column("bytes_in", sa.BigInteger, nullable=False),
    sa.Column("node", NAME, nullable=False),
    sa.Index(None, "user", "started_at"),
    sa.Index(None, "endpoint", "started_at"),
    sa.Index(None, "ended_at", "node"),
)

participants = sa.Table(
    "participants",
    metadata,
    sa.Column("session_id", ID, primary_key=True),
    sa.Column("participant_id", sa.String(64), primary_key=True),
    sa.Column("user", NAME, nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("joined_at", TIME, nullable=False),
    sa.Column("left_at", TIME),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index(None, "user"),
)

farewells = sa.Table(
    "farewells",
    metadata,
    sa.Column("session_id", ID, primary_key=True),
    sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("endpoint", NAME, nullable=False),
    sa.Column("at", TIME, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)

# Of recordings: like what people did, they know no foreign key
recording_tags = sa.Table(
    "recording_tags",
    metadata,
    sa.Column("session_id", ID, primary_key=True),
    sa.Column("tag", sa.String(32), primary_key=True, index=True),
    sa.Column("by", NAME, nullable=False),
    sa.Column("at", TIME, nullable=False),
)

recording_notes = sa.Table(
    "recording_notes",
    metadata,
    sa.Column("session_id", ID, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", TIME, nullable=False),
    sa.Column("by", NAME, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)

preferences = sa.Table(
    "preferences",
    metadata,
    sa.Column("user_id", ID, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("endpoint", NAME, primary_key=True),
    sa.Column("favourite", sa.Boolean, nullable=False),
    sa.Column("last_used_at", TIME),
)

# `text` is the truth (core.audit.chain); at, code, actor and session repeat it for searching, and verify compares them
audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("node", NAME, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("at", TIME, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("session", sa.Text, nullable=False),
    sa.Index(None, "node", "code", "seq"),
    sa.Index(None, "node", "actor", "seq"),
    sa.Index(None, "node", "session", "seq"),
)

audit_checkpoints = sa.Table(
    "audit_checkpoints",
    metadata,
    sa.Column("node", NAME, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("line", sa.Text, nullable=False),
)
