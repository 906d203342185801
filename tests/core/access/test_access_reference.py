"""The reference beside the policies tells of every key, action and word there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from bastion.core.access.actions import ACTIONS
from bastion.core.access.cases import CaseModel
from bastion.core.access.conditions import FACTOR_KINDS
from bastion.core.access.models import (
    ApprovalModel,
    FactorModel,
    FileModel,
    FilesModel,
    RoleModel,
    RuleModel,
    Shape,
    TermsModel,
    WatchersModel,
    WhenModel,
)

REFERENCE = (Path(__file__).parents[3] / "policies" / "README.md").read_text()
MODELS = [FileModel, RoleModel, RuleModel, WhenModel, FilesModel, FactorModel, TermsModel, WatchersModel, ApprovalModel, CaseModel]


@pytest.mark.parametrize("model", MODELS)
def test_every_key_is_in_the_reference(model: type[Shape]) -> None:
    assert [
        key for key in model.model_fields if f"`{key}`" not in REFERENCE and f"`{key}:" not in REFERENCE and f"{key}: " not in REFERENCE
    ] == []


def test_every_action_is_in_the_reference_with_its_help() -> None:
    assert [action.name for action in ACTIONS.values() if f"| `{action.name}` | {action.help} |" not in REFERENCE] == []


def test_every_kind_of_factor_is_in_the_reference_and_in_the_model() -> None:
    assert [kind for kind in FACTOR_KINDS if f"`{kind}`" not in REFERENCE] == []
    annotation = str(FactorModel.model_fields["kinds"].annotation)
    assert [kind for kind in FACTOR_KINDS if f"'{kind}'" not in annotation] == []
