"""Why sessions ended while their owners were away. Frozen."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "farewells",
        sa.Column("session_id", sa.String(32), nullable=False),
        sa.Column("user_id", sa.String(32), nullable=False),
        sa.Column("endpoint", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("session_id", name="pk_farewells"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_farewells_user_id", ondelete="CASCADE"),
    )
    op.create_index("ix_farewells_user_id", "farewells", ["user_id"])
