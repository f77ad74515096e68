"""The hub path against a real server on loopback, with a tiny model whose weights are its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save

from tests.models.hub_server import Hub, serving
from vitviz.errors import Cancelled, HubError
from vitviz.models import hub as hub_module
from vitviz.models import load_model
from vitviz.models.hub import NoSuchFile, fetch
from vitviz.models.names import Source
from vitviz.models.registry import build
from vitviz.models.weights import is_whole_safetensors

NAME = "test_vit.r160_in1k"


@pytest.fixture(scope="module")
def tiny() -> dict[str, torch.Tensor]:
    return build("test_vit", seed=5).state_dict()


@pytest.fixture
def hub(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving(Hub(save(tiny))) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def leftovers(tmp_path: Path) -> list[Path]:
    """Every file of more than a few bytes in the cache."""
    cache = tmp_path / "cache"
    return (
        [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size > 1024] if cache.exists() else []
    )


def test_weights_arrive_with_progress(hub, tiny):
    seen = []
    model = load_model(NAME, weights="pretrained", progress=lambda done, total: seen.append((done, total)))
    assert torch.equal(model.module.blocks[1].attn.qkv.weight, tiny["blocks.1.attn.qkv.weight"])
    assert model.weights == "pretrained" and len(model.weights_hash) == 64
    assert model.labels is not None and len(model.labels) == 1000
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(hub.content), len(hub.content))
    assert {path for _, path in hub.requests} == {"/timm/test_vit.r160_in1k/resolve/main/model.safetensors"}


def test_second_load_and_a_dead_hub_use_the_cache(hub, monkeypatch):
    load_model(NAME)
    downloads = [request for request in hub.requests if request[0] == "GET"]
    load_model(NAME)
    assert [request for request in hub.requests if request[0] == "GET"] == downloads
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    assert load_model(NAME).weights == "pretrained"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert load_model(NAME).weights == "pretrained"


def test_cut_off_half_way_is_taken_up_again(hub, tiny):
    hub.cut_after = len(hub.content) // 2
    model = load_model(NAME)
    assert torch.equal(model.module.head.weight, tiny["head.weight"])


@pytest.mark.long
def test_cut_off_again_and_again_is_an_error_and_leaves_nothing(hub, tmp_path):
    hub.cut_after, hub.ignores_range = len(hub.content) // 2, True
    with pytest.raises(HubError, match="repeatedly.*need no network"):
        load_model(NAME)
    assert leftovers(tmp_path) == []
    hub.cut_after = None
    assert load_model(NAME).weights == "pretrained"


def test_too_slow_is_an_error(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(hub_module, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(hub_module, "SLOWEST_BYTES_PER_SECOND", 1e6)
    hub.pause = 0.02
    with pytest.raises(HubError, match="too slowly"):
        load_model(NAME)
    assert leftovers(tmp_path) == []


def test_a_slow_hub_that_gets_there_is_fine(hub, tiny):
    hub.pause = 0.0005
    assert torch.equal(load_model(NAME).module.head.weight, tiny["head.weight"])


def test_a_silent_hub_is_an_error(hub, monkeypatch):
    monkeypatch.setattr(hub_module, "ANSWER_SECONDS", 0.2)
    hub.silent = True
    with pytest.raises(HubError, match="did not answer in time"):
        load_model(NAME)


@pytest.mark.parametrize("etag", [None, "not-a-hash"])
def test_wrong_content_is_thrown_away(hub, tmp_path, tiny, etag):
    hub.content, hub.etag = b"<html>a proxy's page</html>" * 1000, etag
    with pytest.raises(HubError, match="did not send the weights"):
        load_model(NAME)
    assert leftovers(tmp_path) == []
    hub.content = save(tiny)
    assert load_model(NAME).weights == "pretrained"


def test_content_that_does_not_match_its_hash_is_thrown_away(hub, tmp_path, tiny):
    hub.content, hub.etag = save({**tiny, "head.bias": tiny["head.bias"] + 1}), "0" * 64
    with pytest.raises(HubError, match="did not send the weights"):
        load_model(NAME)
    assert leftovers(tmp_path) == []


def test_wrong_shapes_are_named(hub, tiny):
    hub.content = save({**tiny, "head.weight": torch.zeros(7, 64)})
    with pytest.raises(HubError, match=r"do not fit timm's test_vit.*"):
        load_model(NAME)


def test_a_captive_portal_is_told_from_a_hub(hub, tmp_path):
    hub.as_page = True
    with pytest.raises(HubError, match="not .*model hub"):
        load_model(NAME)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", "does not have it"),
        (404, "EntryNotFound", "no such file"),
        (401, None, "account"),
        (403, "GatedRepo", "account"),
        (503, None, "error 503"),
    ],
)
def test_refusals_are_told_apart(hub, status, code, words):
    hub.status, hub.error_code = status, code
    with pytest.raises(HubError, match=words):
        load_model(NAME)
    assert len(hub.requests) == 1  # no second try, no other file: above all no pickle


def test_nothing_listens(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="out of reach.*embedded model and random weights need no network"):
        load_model(NAME)


def test_offline_asks_nobody(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        load_model(NAME)
    assert hub.requests == []


def test_progress_can_call_the_download_off(hub, tmp_path):
    def stop(done: int, total: int) -> None:
        raise Cancelled("Called off.")

    with pytest.raises(Cancelled):
        load_model(NAME, progress=stop)
    assert leftovers(tmp_path) == []


def test_what_progress_raises_comes_out_as_it_is(hub):
    def fail(done: int, total: int) -> None:
        raise KeyError("a mistake in the caller")

    with pytest.raises(KeyError, match="a mistake in the caller"):
        load_model(NAME, progress=fail)


@pytest.mark.parametrize("name", ["gcvit_tiny.in1k", "vit_giant_patch16_gap_224.in22k_ijepa"])
def test_weights_that_exist_only_as_pickles_are_refused_before_any_request(hub, name):
    with pytest.raises(HubError, match=r"published only as a \.(pth|tar) file"):
        load_model(name)
    assert hub.requests == []


def test_a_model_without_attention_is_refused_before_the_download(hub):
    from vitviz.errors import UnsupportedError

    with pytest.raises(UnsupportedError, match="no attention"):
        load_model("resnet18.a1_in1k")
    assert hub.requests == []


@pytest.mark.long
def test_the_environment_of_a_fresh_process(hub, tmp_path):
    """HF_ENDPOINT as a user sets it, with nothing patched."""
    code = f"import vitviz; print(vitviz.load_model({NAME!r}).weights_hash)"
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": str(tmp_path / "other")}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == hub_module.sha256_of(next((tmp_path / "other").rglob("model.safetensors")))


def test_a_file_that_cannot_be_read_now_is_not_damaged(hub, tmp_path, monkeypatch):
    """Too many open files, no permission, a failing disk: the sound file stays, and is used again afterwards."""
    load_model(NAME)
    (kept,) = {path.resolve() for path in leftovers(tmp_path)}
    real = Path.open

    def refuse(self, *args, **kwargs):
        if self.resolve() == kept.resolve():
            raise OSError(24, "Too many open files")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(HubError, match=r"cannot be read at the moment \(Too many open files\)"):
        load_model(NAME)
    monkeypatch.setattr(Path, "open", real)
    assert kept.exists()
    downloads = [request for request in hub.requests if request[0] == "GET"]
    assert load_model(NAME).weights == "pretrained"
    assert [request for request in hub.requests if request[0] == "GET"] == downloads


@pytest.mark.long
def test_no_file_handle_left_is_no_damage(hub, tmp_path):
    """The real thing, in a process of its own: with every file handle taken, the library reports a missing file."""
    load_model(NAME)
    code = """
import resource
from vitviz.models.hub import fetch
from vitviz.models.names import Source
from vitviz.errors import HubError
source = Source("timm/test_vit.r160_in1k", "main")
path = fetch(source)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
held = []
try:
    while True:
        held.append(open("/dev/null"))
except OSError:
    pass
try:
    fetch(source)
except HubError as error:
    print(error)
del held
assert path.exists()
"""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(tmp_path / "cache"),
    }
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "cannot be read at the moment" in done.stdout


def cut(content: bytes) -> bytes:
    return content[:-10]


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    "damage", [cut, flipped, lambda content: content + b"x", lambda content: b"", lambda content: b"{}"]
)
@pytest.mark.parametrize("offline", [False, True])
def test_a_damaged_file_in_the_cache_is_thrown_away(hub, tmp_path, monkeypatch, damage, offline):
    load_model(NAME)
    (kept,) = {path.resolve() for path in leftovers(tmp_path)}
    kept.write_bytes(damage(kept.read_bytes()))
    if offline:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubError, match="did not send the weights"):
        load_model(NAME)
    assert not kept.exists()


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (save({"a": torch.zeros(2)}), True),
        (save({"a": torch.zeros(2)}, {"note": "b"}), True),
        (save({}), False),
        (save({"a": torch.zeros(2)})[:-1], False),
        (save({"a": torch.zeros(2)}) + b"\0", False),
        (b"", False),
        (b"\xff" * 8, False),
        (b"\x02\0\0\0\0\0\0\0{}", False),
        (b"\x02\0\0\0\0\0\0\0[]", False),
        (b'\x07\0\0\0\0\0\0\0{"a":1}', False),
        (b"PK\x03\x04" + bytes(100), False),
    ],
)
def test_what_a_whole_file_is(tmp_path, content, whole):
    (tmp_path / "a.safetensors").write_bytes(content)
    assert is_whole_safetensors(tmp_path / "a.safetensors") is whole


def in_threads(*works):
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    return threads


def test_another_file_does_not_wait_behind_a_slow_one(hub, tmp_path):
    """The slow download stands still until the fast one is done: behind one lock this would never end."""
    slow, fast = Source("timm/test_vit.r160_in1k", "main"), Source("timm/test_vit.r160_in1k", "main", "config.json")
    hub.beside["config.json"] = b'{"a": 1}'
    begun, fast_done, arrived = threading.Event(), threading.Event(), []

    def hold(done, total):
        begun.set()
        assert fast_done.wait(30)

    (thread,) = in_threads(lambda: arrived.append(fetch(slow, hold)))
    assert begun.wait(30)
    assert fetch(fast).read_bytes() == b'{"a": 1}'
    fast_done.set()
    thread.join(30)
    assert arrived and arrived[0].stat().st_size == len(hub.content)


def test_who_waits_for_the_same_file_sees_its_progress_and_can_stop(hub):
    source = Source("timm/test_vit.r160_in1k", "main")
    begun, let_go, arrived = threading.Event(), threading.Event(), []

    def hold(done, total):
        begun.set()
        assert let_go.wait(30)

    (thread,) = in_threads(lambda: arrived.append(fetch(source, hold)))
    assert begun.wait(30)
    seen = []

    def stop(done, total):
        seen.append((done, total))
        raise Cancelled("Called off.")

    with pytest.raises(Cancelled):
        fetch(source, stop)
    ((done, total),) = seen
    assert 0 < done <= total == len(hub.content)
    let_go.set()
    thread.join(30)
    assert arrived
    assert len([path for method, path in hub.requests if method == "GET"]) == 1
    assert constants.DOWNLOAD_CHUNK_SIZE != hub_module.PIECE_BYTES  # the client's own settings are back


def test_one_that_waited_downloads_where_the_first_was_stopped(hub):
    source = Source("timm/test_vit.r160_in1k", "main")
    begun, let_go, arrived = threading.Event(), threading.Event(), []

    def give_up(done, total):
        begun.set()
        assert let_go.wait(30)
        raise Cancelled("Called off.")

    def first():
        with pytest.raises(Cancelled):
            fetch(source, give_up)

    threads = in_threads(first)
    assert begun.wait(30)
    threads += in_threads(lambda: arrived.append(fetch(source, lambda *_: let_go.set())))
    for thread in threads:
        thread.join(30)
    assert arrived and arrived[0].stat().st_size == len(hub.content)


def test_absence_is_remembered_only_where_the_hub_said_so(hub, monkeypatch):
    hub.beside["config.json"] = b"{}"
    config = Source("timm/test_vit.r160_in1k", "main", "config.json")
    absent = Source("timm/test_vit.r160_in1k", "main", "preprocessor_config.json")
    fetch(config)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(HubError) as caught:
        fetch(absent)
    assert not isinstance(caught.value, NoSuchFile)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(NoSuchFile):
        fetch(absent)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NoSuchFile):
        fetch(absent)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NoSuchFile):
        fetch(absent)
