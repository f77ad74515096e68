"""What the operator sets, from an environment, and what is written about it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from vitviz.ui.server.settings import ServerSettings, SettingsError, read_settings, variable

ROOT = Path(__file__).parent.parent.parent.parent


def test_each_is_read() -> None:
    found = read_settings(
        {
            "VITVIZ_PUBLIC": "yes",
            "VITVIZ_MODELS": "embedded, vit_*\nhf:facebook/*",
            "VITVIZ_MAX_DOWNLOAD": "1.5 GB",
            "VITVIZ_MAX_MODELS_DISK": "500M",
            "VITVIZ_HUB_TOKEN": "1",
            "VITVIZ_PAGES_OFF": "what-if compare",
            "VITVIZ_MAX_SIZE": "518",
            "VITVIZ_UPLOAD_QUOTA": "10000000",
            "VITVIZ_MAX_CONNECTIONS": "40",
            "VITVIZ_ADDRESS_SHARE": "1",
            "VITVIZ_ALLOWED_HOSTS": "lab.example.org",
            "VITVIZ_FRAME_ANCESTORS": "https://huggingface.co",
            "VITVIZ_CLASS_CODE": "violet-42",
            "VITVIZ_SIGN_IN": "on",
            "VITVIZ_LOGS": "json",
            "VITVIZ_METRICS": "0.0.0.0:9090",
            "VITVIZ_PREPARE": "1",
            "VITVIZ_RAY_ADDRESS": "ray.example:6379",
            "VITVIZ_RAY_WORKERS": "8",
            "VITVIZ_CHECKPOINTS": "/models",
        }
    )
    assert found == ServerSettings(
        public=True,
        models=("embedded", "vit_*", "hf:facebook/*"),
        max_download=1_500_000_000,
        max_models_disk=500_000_000,
        hub_token=True,
        pages_off=("what-if", "compare"),
        max_size=518,
        upload_quota=10_000_000,
        max_connections=40,
        address_share=1.0,
        allowed_hosts=("lab.example.org",),
        frame_ancestors=("https://huggingface.co",),
        class_code="violet-42",
        sign_in=True,
        logs="json",
        metrics=("0.0.0.0", 9090),
        prepare=True,
        ray_address="ray.example:6379",
        ray_workers=8,
    )
    assert read_settings({}) == ServerSettings()
    assert read_settings({"VITVIZ_METRICS": "9090"}).metrics == ("127.0.0.1", 9090)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PUBLIC", "maybe"),
        ("MAX_DOWNLOAD", "much"),
        ("MAX_DOWNLOAD", "-1"),
        ("MAX_SIZE", "3.5"),
        *(("ADDRESS_SHARE", text) for text in ("0", "0.0", "1.5", "-0.5", "half", "")),
        ("RAY_WORKERS", "0"),
        ("RAY_WORKERS", "two"),
        ("LOGS", "xml"),
        ("METRICS", "70000"),
        ("METRICS", "localhost"),
        ("CLASS_CODE", "short"),
    ],
)
def test_what_cannot_be_understood_keeps_the_server_from_starting(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"VITVIZ_{name} has to be") as caught:
        read_settings({f"VITVIZ_{name}": text})
    assert name != "CLASS_CODE" or text not in str(caught.value)


def curated() -> frozenset[str]:
    return frozenset({"vit_known"})


@pytest.mark.parametrize(
    ("public", "models", "loaded", "refused"),
    [
        (False, (), ["embedded", "vit_any", "hf:anybody/anything", "file:own"], []),
        (True, (), ["embedded", "vit_known", "file:own"], ["vit_any", "hf:anybody/anything", "hf-hub:timm/vit"]),
        (
            True,
            ("embedded", "hf:facebook/*"),
            ["embedded", "hf:facebook/dino"],
            ["vit_known", "hf:facebookx/d", "file:own"],
        ),
        (False, ("vit_*",), ["embedded", "vit_known", "vit_any"], ["VIT_any", "hf:vit_a/b"]),
    ],
)
def test_which_models_may_be_loaded(
    public: bool, models: tuple[str, ...], loaded: list[str], refused: list[str]
) -> None:
    chosen = ServerSettings(public=public, models=models)
    assert [name for name in loaded if not chosen.may_load(name, curated)] == []
    assert [name for name in refused if chosen.may_load(name, curated)] == []


def test_each_is_written_about_with_its_default() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text()
    for each in fields(ServerSettings):
        row = next((line for line in text.splitlines() if line.startswith(f"| `{variable(each.name)}`")), None)
        assert row, f"{variable(each.name)} has no row in docs/deploy.md"
        default = each.metadata["default"]
        assert f"`{default}`" in row.split("|")[2] if default else row.split("|")[2].strip() == "", row
