"""Accounts, endpoints, secrets, sessions and preferences. Frozen: it never follows a change of `tables.py`."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.String(32)
NAME = sa.String(64)
TIME: sa.Double[float] = sa.Double()


def upgrade() -> None:
    """Make the first tables."""
    _accounts()
    _endpoints()
    _sessions()


def _accounts() -> None:
    op.create_table(
        "users",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("roles", sa.JSON, nullable=False),
        sa.Column("full_name", sa.Text, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "user_keys",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("public", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME),
        sa.PrimaryKeyConstraint("user_id", "fingerprint", name="pk_user_keys"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_user_keys_user_id", ondelete="CASCADE"),
    )
    op.create_table(
        "preferences",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("endpoint", NAME, nullable=False),
        sa.Column("favourite", sa.Boolean, nullable=False),
        sa.Column("last_used_at", TIME),
        sa.PrimaryKeyConstraint("user_id", "endpoint", name="pk_preferences"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_preferences_user_id", ondelete="CASCADE"),
    )


def _endpoints() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("command", sa.JSON, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("legacy", sa.Boolean, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_endpoints"),
        sa.UniqueConstraint("name", name="uq_endpoints_name"),
    )
    op.create_table(
        "endpoint_logins",
        sa.Column("endpoint_id", ID, nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("credential_id", ID),
        sa.PrimaryKeyConstraint("endpoint_id", "position", name="pk_endpoint_logins"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_endpoint_logins_endpoint_id", ondelete="CASCADE"),
    )
    op.create_index("ix_endpoint_logins_credential_id", "endpoint_logins", ["credential_id"])
    op.create_table(
        "endpoint_host_keys",
        sa.Column("endpoint_id", ID, nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("algorithm", sa.Text, nullable=False),
        sa.Column("public", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", "position", name="pk_endpoint_host_keys"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoints.id"], name="fk_endpoint_host_keys_endpoint_id", ondelete="CASCADE"),
    )
    op.create_table(
        "credentials",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_credentials"),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("user", NAME, nullable=False),
        sa.Column("endpoint", NAME, nullable=False),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
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
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_started_at", "sessions", ["started_at"])
    op.create_index("ix_sessions_user_started_at", "sessions", ["user", "started_at"])
    op.create_index("ix_sessions_endpoint_started_at", "sessions", ["endpoint", "started_at"])
    op.create_index("ix_sessions_ended_at_node", "sessions", ["ended_at", "node"])
    op.create_table(
        "participants",
        sa.Column("session_id", ID, nullable=False),
        sa.Column("participant_id", sa.String(64), nullable=False),
        sa.Column("user", NAME, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("joined_at", TIME, nullable=False),
        sa.Column("left_at", TIME),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "participant_id", name="pk_participants"),
    )
