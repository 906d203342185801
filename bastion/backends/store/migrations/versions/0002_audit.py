"""The audit chain and its checkpoints. Frozen; the triggers are made by `env.py` after the last step."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the audit's tables."""
    op.create_table(
        "audit_entries",
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("node", "seq", name="pk_audit_entries"),
    )
    op.create_index("ix_audit_entries_node_code_seq", "audit_entries", ["node", "code", "seq"])
    op.create_index("ix_audit_entries_node_actor_seq", "audit_entries", ["node", "actor", "seq"])
    op.create_index("ix_audit_entries_node_session_seq", "audit_entries", ["node", "session", "seq"])
    op.create_table(
        "audit_checkpoints",
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("node", "seq", name="pk_audit_checkpoints"),
    )
