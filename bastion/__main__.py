"""The `bastion` program. Joins the commands with the app; loads neither before it is needed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bastion.frontends.commands.host import Host


def _load() -> Host:
    from bastion.app import Host as App  # noqa: PLC0415 - loads asyncssh and the database, which help must not wait for

    return App()


def main() -> None:
    """Run the program and exit with its code."""
    if "_BASTION_COMPLETE" in os.environ:
        from bastion.frontends.commands.host_local import everything  # noqa: PLC0415

        everything().main(prog_name="bastion", complete_var="_BASTION_COMPLETE")
    from bastion.frontends.commands.host import streams  # noqa: PLC0415
    from bastion.frontends.commands.program import run_program  # noqa: PLC0415

    sys.exit(run_program(streams(_load), sys.argv[1:]))


if __name__ == "__main__":
    main()
