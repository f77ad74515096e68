"""What may be downloaded, and in whose name, against a hub on loopback."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import save

from tests.models.hub_server import Hub, serving
from vitviz.errors import HubError
from vitviz.models import limits as limits_module
from vitviz.models.hub import bytes_to_fetch, fetch
from vitviz.models.limits import Limits, limited, limits
from vitviz.models.names import Source

WEIGHTS = save({"x": np.zeros(2_500, np.float32)})  # 10 kB
SOURCE = Source("timm/test_vit.r160_in1k", "main")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving(Hub(WEIGHTS)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running


def downloads(hub: Hub) -> int:
    return sum(method == "GET" for method, _ in hub.requests)


def test_a_file_within_the_limits_is_fetched(hub: Hub) -> None:
    assert bytes_to_fetch(SOURCE) == len(WEIGHTS)
    with limited(Limits(len(WEIGHTS), len(WEIGHTS))):
        assert fetch(SOURCE).read_bytes() == WEIGHTS
        assert bytes_to_fetch(SOURCE) == 0


@pytest.mark.parametrize(
    ("to", "said"),
    [
        (Limits(file_bytes=len(WEIGHTS) - 1), "downloads files of at most"),
        (Limits(cache_bytes=len(WEIGHTS) - 1), "space that this server has for models is used up"),
    ],
)
def test_a_larger_file_is_refused_before_a_byte_of_it_comes(hub: Hub, tmp_path: Path, to: Limits, said: str) -> None:
    for ask in (fetch, bytes_to_fetch):
        with limited(to), pytest.raises(HubError, match=said):
            ask(SOURCE)
    assert downloads(hub) == 0
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    fetch(SOURCE)  # without limits, as in the library


def test_what_is_in_the_cache_counts_and_can_be_used_though_it_is_full(hub: Hub, tmp_path: Path) -> None:
    fetch(SOURCE)
    with limited(Limits(cache_bytes=10)):
        assert fetch(SOURCE).read_bytes() == WEIGHTS
    hub.beside["config.json"] = b"{}"
    other = Source(SOURCE.repository, "main", "config.json")
    with limited(Limits(cache_bytes=len(WEIGHTS) + 1)), pytest.raises(HubError, match="used up"):
        fetch(other)
    with limited(Limits(cache_bytes=len(WEIGHTS) + 1_000)):
        fetch(other)


def test_a_hub_that_names_a_smaller_size_is_stopped_on_the_way(hub: Hub, tmp_path: Path) -> None:
    hub.claims = 100
    with limited(Limits(file_bytes=9_000)), pytest.raises(HubError):
        fetch(SOURCE)
    assert not [path for path in (tmp_path / "cache").rglob("*.safetensors")]


def test_a_full_disk_is_said_before_the_download(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    free = limits_module.FREE_BYTES + len(WEIGHTS) - 1
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(limits_module.shutil, "disk_usage", lambda _: usage)
    with limited(Limits(file_bytes=10**12)), pytest.raises(HubError, match="disk is full"):
        fetch(SOURCE)
    assert downloads(hub) == 0


@pytest.mark.parametrize("token", [True, False])
def test_the_account_is_used_only_where_it_may_be(hub: Hub, monkeypatch: pytest.MonkeyPatch, token: bool) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_operators_own")
    with limited(Limits(token=token)):
        bytes_to_fetch(SOURCE)
        fetch(SOURCE)
    assert len(hub.accounts) >= 3
    assert {"hf_operators_own" in (account or "") for account in hub.accounts} == {token}


def test_a_gated_file_is_refused_without_a_hint_that_visitors_cannot_follow(hub: Hub) -> None:
    hub.status, hub.error_code = 403, "GatedRepo"
    with pytest.raises(HubError, match="set HF_TOKEN"):
        fetch(SOURCE)
    with limited(Limits(token=False)), pytest.raises(HubError, match="this server uses no account for requests"):
        fetch(SOURCE)


def test_limits_belong_to_a_thread_and_end_with_the_block() -> None:
    seen = []
    with limited(Limits(file_bytes=1)):
        other = threading.Thread(target=lambda: seen.append(limits()))
        other.start()
        other.join()
        assert limits().file_bytes == 1
    assert limits() == Limits() and seen == [Limits()]
