"""What fails around the app is one sentence on the page, and the same session goes on afterwards."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants, file_download
from safetensors.torch import save, save_file

from tests.models.hub_server import Hub, serving
from tests.ui.compute.test_heavy import Cluster, pool_of
from tests.ui.integration.test_pages import jpeg, upload
from vitviz.errors import ModelError
from vitviz.images.decoding import Decoders
from vitviz.models.registry import build
from vitviz.ui import context
from vitviz.ui.compute import loading, services
from vitviz.ui.compute.heavy import Worker
from vitviz.ui.controls import targets
from vitviz.ui.text import common

NAME = "test_vit.r160_in1k"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving(Hub(save(build("test_vit", seed=5).state_dict()))) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        yield running
    services.models().results.clear()


def goes_on(shown) -> None:
    """The way back is there, and leads to a page without an error."""
    shown.at.button(key="back view").click().run()
    assert not shown.wrong and shown.parameters == {}


@pytest.mark.parametrize(("code", "at"), [(errno.ENOSPC, "bytes"), (errno.EROFS, "folder"), (errno.EACCES, "folder")])
def test_a_download_that_cannot_be_stored(app, hub, monkeypatch, tmp_path, code, at):
    """A disk that fills up while the file comes, a cache that is read-only, one of somebody else."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    def refuse_below_cache(path: Path, *given: object, **named: object) -> None:
        if tmp_path in Path(path).parents:
            refuse()
        mkdir(path, *given, **named)

    mkdir = Path.mkdir
    with monkeypatch.context() as broken:
        if at == "folder":
            broken.setattr(Path, "mkdir", refuse_below_cache)
            broken.setattr(file_download.os, "makedirs", refuse)
        else:
            broken.setattr(file_download, "http_get", refuse)
        shown = app("patches", model=NAME)
        (said,) = shown.wrong
        assert f"could not be stored ({os.strerror(code)})" in said.replace("\\", "") and "need no network" in said
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".safetensors"]
        goes_on(shown)
    assert not app("patches", model=NAME).wrong, "once there is room"


@pytest.mark.parametrize("harm", ["cut", "empty", "no weights"])
def test_an_operators_checkpoint_that_is_damaged(app, monkeypatch, tmp_path, harm):
    path = tmp_path / "own.safetensors"
    save_file(build("test_vit", seed=1).state_dict(), path)
    (tmp_path / "own.json").write_text('{"architecture": "test_vit", "input_size": 160}')
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:-100], "empty": b"", "no weights": b"x" * 1000}[harm])
    monkeypatch.setenv(loading.CHECKPOINTS, str(tmp_path))
    shown = app("patches", model="file:own")
    assert len(shown.wrong) == 1 and not shown.at.exception
    assert str(tmp_path) not in shown.wrong[0] and "own" in shown.wrong[0]
    goes_on(shown)


def test_a_decoder_that_is_killed_in_the_middle(app, monkeypatch):
    decoders = Decoders()
    monkeypatch.setattr(services, "decoders", lambda: decoders)
    read = decoders.read

    def killing(content, check, sender):
        def checked() -> None:
            if first and (pids := running()):
                first.clear()
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
            check()

        return read(content, checked, sender)

    def running() -> list[int]:
        return [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/stat") if _child(p) and b"decoding" in _line(p)]

    first = [True]
    monkeypatch.setattr(decoders, "read", killing)
    shown = upload(app("patches"), jpeg(1))
    assert "made its decoder fail" in shown.wrong[0]
    shown = upload(shown, jpeg(2))
    assert not shown.wrong and shown.parameters["image"] == "upload"
    decoders.close()


def _child(stat: Path) -> bool:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid()
    except OSError:
        return False


def _line(stat: Path) -> bytes:
    try:
        return stat.with_name("cmdline").read_bytes()
    except OSError:
        return b""


def test_a_worker_that_is_killed_in_mid_forward(app, monkeypatch):
    """Once: its work is begun again, and nobody notices. Again and again: a sentence, and the session goes on."""
    cluster = Cluster(ends=1, work=Worker().run)
    pool = pool_of(cluster)
    monkeypatch.setattr(services, "pool", lambda: pool)
    monkeypatch.setattr(targets, "HEAVY_OPERATIONS", 0.0)  # so that a small model's work goes there
    given = {"model": "test_vit", "weights": "random", "switch": "worth", "weighed": "now"}
    shown = app("what_if", **given)
    assert not shown.wrong and cluster.runs == 2 and "rank correlation" in shown.text
    services.queue().results.clear()
    cluster.ends = 100
    shown = app("what_if", **given)
    (said,) = shown.wrong
    assert "ended before it was done. Compute again" in said and not shown.at.exception
    assert cluster.runs == 4 and "rank correlation" not in shown.text
    cluster.ends = 0
    shown.at.run()
    assert not shown.wrong and "rank correlation" in shown.text, "the same session, once workers hold"


def no_memory_of_torch() -> None:
    torch.empty(1 << 50)


def no_memory_of_python() -> None:
    raise MemoryError


def no_memory_of_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def no_memory_while_building() -> None:
    try:
        torch.empty(1 << 50)
    except RuntimeError as error:
        raise ModelError("the model could not be built") from error


@pytest.mark.parametrize(
    "fail", [no_memory_of_torch, no_memory_of_python, no_memory_of_a_gpu, no_memory_while_building]
)
def test_no_memory_for_a_large_input(app, monkeypatch, fail):
    with monkeypatch.context() as broken:
        broken.setattr(context, "traced_with_hidden_states", lambda *_: fail())
        shown = app("patches", size="280", framing="squash")
        assert shown.wrong == [common.NO_MEMORY] and not shown.at.exception
    goes_on(shown)


def test_another_error_of_torch_is_not_called_a_lack_of_memory(app, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(context, "traced_with_hidden_states", lambda *_: torch.zeros(2) @ torch.zeros(3))
        assert app("patches", size="280", framing="fit").wrong == [common.UNEXPECTED]
