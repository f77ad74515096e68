"""Heavy work by its name: the same answers as in place, in another process too, and two servers that share a pool."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.load.visitor import Visitor
from tests.browser.serving import ROOT, served
from vitviz.analysis.hiding import object_test
from vitviz.analysis.methods import explain
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit
from vitviz.errors import Cancelled, ModelError, VitvizError
from vitviz.models import load_model, resized
from vitviz.ui.compute import heavy
from vitviz.ui.compute.heavy import TASKS, ModelName, Pool, Task, Worker
from vitviz.ui.compute.queue import JobProgress

TARGET = ClassLogit(3)
MASK = np.zeros((10, 10), bool)
MASK[2:5, 3:6] = True
MAPS = {"one": np.arange(100.0).reshape(10, 10)}
GIVEN: dict[str, dict[str, Any]] = {
    "faithfulness": {"maps": MAPS, "levels": (2,)},
    "explanation": {"key": "occlusion"},
    "sanity": {"keys": ("attention",), "every": 3},
    "object": {"mask": MASK, "maps": {}},
    "head importance": {},
}


@pytest.fixture(scope="module")
def model():
    return load_model("test_vit", weights="random")


@pytest.fixture(scope="module")
def pixels(model):
    return torch.randn(3, *model.input_size, generator=torch.Generator().manual_seed(0))


def numbers(value: Any) -> list[np.ndarray]:
    """All numbers of an answer, in order."""
    if isinstance(value, np.ndarray | float | int):
        return [np.asarray(value, float)]
    if isinstance(value, tuple | list):
        return [found for each in value for found in numbers(each)]
    parts = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return [found for each in parts.values() for found in numbers(each)]


@pytest.mark.parametrize("name", TASKS)
def test_work_that_has_travelled_gives_the_same_answer(model, pixels, name):
    here = Task(name, GIVEN[name])(Question(model, pixels, TARGET), lambda *_: None)
    sent = pickle.loads(pickle.dumps((ModelName.of(model), Task(name, GIVEN[name]), pixels, TARGET, {})))
    answer, made = Worker().run("job", *sent)
    there = pickle.loads(pickle.dumps(answer))
    assert len(numbers(here)) > 0
    for one, other in zip(numbers(here), numbers(there), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, equal_nan=True)
    assert bool(made) == (name == "faithfulness"), "what the finer curves need comes back"


def test_the_answers_are_those_of_the_library(model, pixels):
    question = Question(model, pixels, TARGET)
    answer = Task("explanation", {"key": "occlusion"})(question, lambda *_: None)
    np.testing.assert_array_equal(answer.values, explain(question, "occlusion").values)
    answer = Task("object", {"mask": MASK, "maps": {}})(question, lambda *_: None)
    assert answer.drop == pytest.approx(object_test(question, MASK, {}).drop)
    assert Task("explanation", {"key": "gradcam"})(question, lambda *_: None) != ()


def test_a_worker_refuses_another_model_than_the_servers(model):
    name = ModelName.of(resized(model, (96, 96)))
    assert name is not None and name.load().input_size == (96, 96)
    with pytest.raises(ModelError, match="loads another test_vit"):
        replace(name, fingerprint="0").load()
    assert ModelName.of(replace(model, weights="file")) is None


def test_work_is_called_off_in_a_worker(model, pixels, monkeypatch):
    worker, name = Worker(), ModelName.of(model)
    assert name is not None

    def called_off(*given: Any, **more: Any):
        worker.cancel("job")
        return load_model(*given, **more)

    monkeypatch.setattr(heavy, "load_model", called_off)
    with pytest.raises(Cancelled):
        worker.run("job", name, Task("head importance"), pixels, TARGET, {})
    assert worker.fraction("job") is None


def test_work_that_waits_at_a_worker_is_called_off_before_it_begins(model, pixels, monkeypatch):
    """It waits there behind the work of another server, and its own server hears that nobody wants it any more."""
    worker, name = Worker(), ModelName.of(model)
    assert name is not None
    begun = ModelError("it was begun")

    def begin(*_: Any, **__: Any) -> None:
        raise begun

    def ends(job: str) -> BaseException:
        with pytest.raises((Cancelled, ModelError)) as raised:
            worker.run(job, name, Task("head importance"), pixels, TARGET, {})
        return raised.value

    monkeypatch.setattr(heavy, "load_model", begin)
    worker.cancel("waiting")
    assert isinstance(ends("waiting"), Cancelled)
    for number in range(heavy.CALLED_OFF + 1):
        worker.cancel(f"over long ago {number}")
    assert ends("over long ago 0") is begun, "so many are remembered and no more"
    assert isinstance(ends("over long ago 1"), Cancelled)


class Cluster:
    """Of Ray what a pool uses: a worker whose process ends as often as was said before it answers."""

    exceptions = SimpleNamespace(
        RayActorError=type("RayActorError", (Exception,), {}),
        RayTaskError=type("RayTaskError", (Exception,), {}),
        GetTimeoutError=type("GetTimeoutError", (Exception,), {}),
    )

    def __init__(self, ends: int, work: Callable[..., Any] = lambda *_: ("answer", {})) -> None:
        self.ends, self.work, self.runs, self.called_off = ends, work, 0, 0
        self.run = self._method(self._run)
        self.status = self._method(lambda: {"pid": self.runs})
        self.cancel = self._method(self._cancel)
        self.fraction = self._method(lambda _: 0.5)
        self.busy = False

    @staticmethod
    def _method(call):
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda *given: lambda: call(*given)))

    def _run(self, *given: Any) -> Any:
        self.runs += 1
        if self.runs <= self.ends:
            raise self.exceptions.RayActorError
        return self.work(*given)

    def _cancel(self, _: str) -> None:
        self.called_off += 1

    def wait(self, refs: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        return ([], refs) if self.busy else (refs, [])

    def get(self, ref: Any, timeout: float = 0.0) -> Any:
        return ref()


def pool_of(*workers: Cluster) -> Pool:
    """A pool of a Ray whose actors are `workers`."""
    actors = iter(workers)
    kind = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda: next(actors)))
    ray = SimpleNamespace(
        init=lambda **_: None,
        remote=lambda **_: lambda _: kind,
        exceptions=Cluster.exceptions,
        wait=workers[0].wait,
        get=workers[0].get,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ray", ray)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        return Pool("an address", len(workers))


def test_work_whose_process_ends_is_begun_once_more_and_then_given_up(model, pixels):
    given = (ModelName.of(model), Task("head importance"), pixels, TARGET, {}, JobProgress(lambda: True))
    once = Cluster(ends=1)
    assert pool_of(once).run(*given) == ("answer", {}) and once.runs == 2
    for_ever = Cluster(ends=10)
    pool = pool_of(for_ever)
    with pytest.raises(VitvizError, match="ended before it was done"):
        pool.run(*given)
    assert for_ever.runs == 2 and pool.idle == 1, "the place is free again"


def test_work_goes_to_the_idle_worker_whose_last_work_was_of_its_model(pixels):
    ran: list[str] = []
    pool = pool_of(*(Cluster(0, lambda *_, name=name: (ran.append(name), {})) for name in ("first", "second")))

    def run(models: str) -> list[str]:
        ran.clear()
        for each in models:
            name = ModelName(each, None, (16, 16), fingerprint=each)
            pool.run(name, Task("head importance"), pixels, TARGET, {}, JobProgress(lambda: True))
        return ran

    assert run("abaabba") == ["first", "second", "first", "first", "second", "second", "first"]
    with pool.place("a"):
        assert run("aa") == ["second", "second"], "where its own is busy, any other"
    waiting = threading.Thread(target=run, args=("b",))
    with pool.place("a") as one:
        with pool.place("b") as other:
            waiting.start()
            waiting.join(0.05)
            assert waiting.is_alive() and {one, other} == {0, 1}, (
                "one piece at a time for each worker, of whatever model"
            )
        waiting.join()
        assert ran == [("first", "second")[other]]


def test_a_worker_is_told_that_nobody_waits(model, pixels):
    cluster = Cluster(ends=0)
    cluster.busy = True
    pool = pool_of(cluster)
    cluster.cancel = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda job: cluster._cancel(job)))
    name = ModelName.of(model)
    with pytest.raises(Cancelled):
        pool.run(name, Task("head importance"), pixels, TARGET, {}, JobProgress(lambda: False))
    assert cluster.called_off == 1 and pool.idle == 1


@pytest.mark.long
def test_workers_need_no_streamlit():
    code = "import sys, vitviz.ui.compute.heavy; assert 'streamlit' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(VitvizError, match=r'pip install "vitviz\[ray\]"'):
        Pool("auto", 2)


def test_ray_reports_to_nobody_unless_the_operator_says_so(monkeypatch):
    asked = []

    def init(**_: Any) -> None:
        asked.append(os.environ["RAY_USAGE_STATS_ENABLED"])
        raise ConnectionError

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    for _ in range(2):
        with pytest.raises(VitvizError, match="cannot be reached"):
            Pool("ray.example:6379", 2)
        monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")
    assert asked == ["1", "0"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster on this machine, for two workers."""
    ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "vitviz[ray]"')
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}.items():
            patch.setenv(name, value)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200_000_000)
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


@pytest.mark.long
def test_two_servers_share_two_workers(cluster):
    """Both servers' heavy work is done by the two processes and in no others."""
    environment = {"VITVIZ_RAY_ADDRESS": cluster, "VITVIZ_RAY_WORKERS": "2"}
    with served(ROOT / "app.py", environment) as first, served(ROOT / "app.py", environment) as second:
        done: list[str] = []

        def ask(server: str, image: str) -> None:
            visitor = Visitor(server, patience=200)
            view = visitor.open("what_if", f"?image={image}&switch=worth&weighed=now")
            if view.widget("go on worth"):
                view = visitor.press("go on worth")
            assert not view.wrong, view.wrong
            done.append(image)
            visitor.close()

        threads = [
            threading.Thread(target=ask, args=given) for given in ((first, "cat"), (second, "coffee"), (first, "koala"))
        ]
        for thread in threads:
            thread.start()
        pool = Pool(cluster, 2)
        for thread in threads:
            thread.join()
        assert sorted(done) == ["cat", "coffee", "koala"]
        status = pool.status()
        assert len({each["pid"] for each in status} | {first.pid, second.pid}) == 4
        assert any(each["models"] == ["embedded"] for each in status)


@pytest.mark.long
def test_a_worker_that_is_killed_in_the_middle_is_replaced_and_its_work_done(cluster):
    model = load_model("embedded")  # of which the work takes seconds
    pixels = torch.randn(3, *model.input_size, generator=torch.Generator().manual_seed(0))
    pool, name = Pool(cluster, 2), ModelName.of(model)
    assert name is not None
    before = {each["pid"] for each in pool.status()}

    class Killing(JobProgress):
        left = 1

        def check(self) -> None:
            if self.left and self.fraction is not None:
                self.left -= 1
                for pid in {each["pid"] for each in pool.status()}:
                    os.kill(pid, signal.SIGKILL)

    task = Task("explanation", {"key": "occlusion"})
    answer, _ = pool.run(name, task, pixels, TARGET, {}, Killing(lambda: True))
    wanted = explain(Question(model, pixels, TARGET), "occlusion").values
    np.testing.assert_allclose(answer.values, wanted, rtol=1e-3, atol=1e-4)

    assert not before & {each["pid"] for each in pool.status()}
    called_off = JobProgress(lambda: False)
    with pytest.raises(Cancelled):
        pool.run(name, task, pixels, TARGET, {}, called_off)
