"""The menu: choose an endpoint, or a session to join. A pure model, update and view.

model: what there is to choose and what is chosen. update: what a key makes of it. view: its picture.
plain: the same as numbered lines. Never dials, never asks the policy: items say what one may do.
"""

from bastion.core.menu.model import Menu, MenuItem
from bastion.core.menu.plain import plain_choose, plain_lines
from bastion.core.menu.update import Chosen, Outcome, Quit, Redraw, Refresh, ToggleFavourite, update
from bastion.core.menu.view import view

__all__ = [
    "Chosen",
    "Menu",
    "MenuItem",
    "Outcome",
    "Quit",
    "Redraw",
    "Refresh",
    "ToggleFavourite",
    "plain_choose",
    "plain_lines",
    "update",
    "view",
]
