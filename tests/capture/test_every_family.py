"""No family of timm's is shown on trust: each one that has a verdict other than a refusal has a small model in these tests."""

from __future__ import annotations

import re
from pathlib import Path

from timm.models import model_entrypoint

from tests.capture.families import FAMILIES
from tests.capture.variants import VARIANTS

PAGE = Path(__file__).parents[2] / "docs" / "supported-models.md"


def family_of(architecture: str) -> str:
    return model_entrypoint(architecture).__module__


def test_every_family_that_is_shown_is_held_against_its_own_weights():
    shown = re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8").split("## Global")[1].split("## Refused")[0])
    assert len(shown) > 600
    held = {family_of(small.architecture) for small in (*FAMILIES, *VARIANTS)}
    assert {family_of(name) for name in shown} - held == set()
