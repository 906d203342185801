"""What alembic runs: the steps, on the connection and in the transaction that `migrate` opened. Never opens one."""

from alembic import context

from bastion.backends.store.migrations.triggers import restore_triggers

connection = context.config.attributes["connection"]
context.configure(connection=connection, render_as_batch=True)
context.run_migrations()
# Batch mode rebuilds a table without its triggers, and says nothing
restore_triggers(connection)
