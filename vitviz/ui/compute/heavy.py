"""Heavy work in other processes: named functions with arguments that can be sent, and the pool of Ray actors that runs them.

Without VITVIZ_RAY_ADDRESS heavy work runs in threads of this server. With it, the same queue gives work to actors of a Ray
cluster, which all servers of that address share. An actor keeps the models that it used last, and work goes to an idle actor
whose last work was of its model, where there is one, so that it is not loaded again. An actor does one piece of work at a
time; pieces for the same model are not joined into one batch.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

from vitviz.analysis.faithfulness import faithfulness
from vitviz.analysis.head_importance import head_importance
from vitviz.analysis.hiding import object_test
from vitviz.analysis.methods import METHODS, explain
from vitviz.analysis.question import Question
from vitviz.analysis.sanity import cascade
from vitviz.analysis.targets import Target
from vitviz.errors import Cancelled, ModelError, UnsupportedError, VitvizError
from vitviz.models import Model, load_model, resized
from vitviz.progress import Progress
from vitviz.ui.compute.queue import JobProgress

_LOG = logging.getLogger(__name__)
NAMESPACE = "vitviz"
# Models that an actor keeps, and seconds between two looks at how far its work is.
MODELS_KEPT, LOOK_SECONDS = 2, 0.25
# Results of a question that are sent to an actor and back: small, and needed again by the next work.
TRAVEL = ("hidden_likelihoods",)
# The most cancelled jobs that are remembered until their turn; some of them are over already.
CALLED_OFF = 1_000
# Times that work is begun again because its process ended.
RETRIES = 1
# For a process to start again, and between two looks at whether it has.
START_SECONDS, STEP_SECONDS = 60.0, 1.0


def _trust(question: Question, progress: Progress, maps: Mapping[str, Any], levels: tuple[int, ...]) -> Any:
    *_, last = faithfulness(question, maps, levels=levels, progress=progress)
    return last


def _explanation(question: Question, progress: Progress, key: str) -> Any:
    try:
        return explain(question, key, progress)
    except UnsupportedError:
        return ()


def _sanity(question: Question, progress: Progress, keys: tuple[str, ...], every: int) -> Any:
    methods = {METHODS[key].name: partial(explain, key=key) for key in keys}
    return tuple(cascade(question, methods, every=every, progress=progress))


def _object(question: Question, progress: Progress, mask: Any, maps: Mapping[str, Any]) -> Any:
    return object_test(question, mask, maps, progress=progress)


def _heads(question: Question, progress: Progress) -> Any:
    return head_importance(question, progress=progress)


TASKS: dict[str, Callable[..., Any]] = {
    "faithfulness": _trust,
    "explanation": _explanation,
    "sanity": _sanity,
    "object": _object,
    "head importance": _heads,
}


@dataclass(frozen=True)
class Task:
    """Work on a question by its name in `TASKS`, with arguments that can be sent to another process."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, question: Question, progress: Progress) -> Any:
        return TASKS[self.name](question, progress, **self.arguments)


@dataclass(frozen=True)
class ModelName:
    """A model as another process can load it.

    Attributes:
        name, weights: As `load_model` takes them; the embedded model has no weights to choose.
        input_size: (height, width).
        fingerprint: What the loaded model has to have: the same weights, labels, precision and device.
    """

    name: str
    weights: str | None
    input_size: tuple[int, int]
    fingerprint: str

    @classmethod
    def of(cls, model: Model) -> ModelName | None:
        """None for a model that only this server has, from a checkpoint in its folder."""
        if model.weights == "file":
            return None
        weights = None if model.name == "embedded" and model.weights == "embedded" else model.weights
        return cls(model.name, weights, model.input_size, model.fingerprint)

    def load(self) -> Model:
        """Raises ModelError where what is loaded here is another model."""
        model = resized(load_model(self.name, weights=self.weights), self.input_size)
        if model.fingerprint != self.fingerprint:
            raise ModelError(
                f"A worker loads another {self.name} than this server: other weights, versions, precision or device. "
                "Install the same on both."
            )
        return model


class Worker:
    """The class of an actor: one `run` at a time, the other methods at any time."""

    def __init__(self) -> None:
        self._models: OrderedDict[ModelName, Model] = OrderedDict()
        self._fractions: dict[str, float] = {}
        self._called_off: OrderedDict[str, None] = OrderedDict()  # jobs, the last CALLED_OFF of them

    def run(
        self, job: str, name: ModelName, task: Task, pixels: Tensor, target: Target, made: Mapping[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """The answer of a task, and what of `TRAVEL` was made. Raises what it raises, and Cancelled after `cancel`."""
        self._fractions[job] = 0.0

        def progress(done: int, total: int) -> None:
            if job in self._called_off:
                raise Cancelled("The computation was stopped before it was finished.")
            self._fractions[job] = done / total if total else 0.0

        try:
            progress(0, 1)
            question = Question(self._model(name), pixels, target)
            question.reuse(made)
            answer = task(question, progress)
            return answer, {each: question.passes[each] for each in TRAVEL if each in question.passes}
        finally:
            self._fractions.pop(job, None)
            self._called_off.pop(job, None)

    def _model(self, name: ModelName) -> Model:
        if name not in self._models:
            self._models[name] = name.load()
            while len(self._models) > MODELS_KEPT:
                self._models.popitem(last=False)
        self._models.move_to_end(name)
        return self._models[name]

    def fraction(self, job: str) -> float | None:
        return self._fractions.get(job)

    def cancel(self, job: str) -> None:
        """Cancels a job, also one that waits behind another server's: that one ends at its turn, before anything is loaded."""
        self._called_off[job] = None
        if len(self._called_off) > CALLED_OFF:
            self._called_off.popitem(last=False)

    def status(self) -> dict[str, Any]:
        """The process, and the names of the models that it has."""
        return {"pid": os.getpid(), "models": [name.name for name in self._models]}


class Pool:
    """Actors of a Ray cluster, shared by all servers that name the same address.

    Args:
        address: Of the cluster, as `ray.init` takes it.
        size: How many actors.

    Raises:
        VitvizError: Where Ray is not installed or the cluster cannot be reached.
    """

    def __init__(self, address: str, size: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise VitvizError('VITVIZ_RAY_ADDRESS needs Ray: pip install "vitviz[ray]"') from error
        self._ray = ray
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # by default Ray sends usage statistics
        try:
            ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
        except Exception as error:  # it raises whatever its layers raise
            raise VitvizError(f"The Ray cluster at {address} cannot be reached: {type(error).__name__}.") from error
        remote: Any = ray.remote  # its stubs do not know groups
        kind = remote(concurrency_groups={"work": 1, "talk": 4})(Worker)
        self._workers: list[Any] = [
            kind.options(
                name=f"vitviz worker {number}",
                namespace=NAMESPACE,
                get_if_exists=True,
                lifetime="detached",
                max_restarts=-1,
                num_cpus=1,
            ).remote()
            for number in range(size)
        ]
        self._free = threading.Condition()
        self._idle = list(range(size))
        self._last: dict[int, str] = {}  # the model that each was used with last
        self._numbers = itertools.count()

    @property
    def idle(self) -> int:
        """How many workers have no work of this server."""
        return len(self._idle)

    @contextmanager
    def place(self, fingerprint: str) -> Iterator[int]:
        """Holds an idle worker while inside, if possible one whose last work was of this model; gives its number."""
        with self._free:
            self._free.wait_for(lambda: bool(self._idle))
            number = next((each for each in self._idle if self._last.get(each) == fingerprint), self._idle[0])
            self._idle.remove(number)
        try:
            yield number
        finally:
            with self._free:
                self._last[number] = fingerprint
                self._idle.append(number)
                self._free.notify()

    def status(self) -> list[dict[str, Any]]:
        """The process and the models of each worker."""
        return self._ray.get([worker.status.options(concurrency_group="talk").remote() for worker in self._workers])

    def run(
        self,
        name: ModelName,
        task: Task,
        pixels: Tensor,
        target: Target,
        made: Mapping[str, Any],
        progress: JobProgress,
    ) -> tuple[Any, dict[str, Any]]:
        """The answer of a task, from a worker, and what of `TRAVEL` was made. Work whose process ended is begun once more.

        Args:
            made: What of `TRAVEL` is known of the question.

        Raises what the task raises, Cancelled once no visitor waits, and VitvizError where its process ended twice.
        """
        given = (name, task, pixels, target, {each: made[each] for each in TRAVEL if each in made})
        with self.place(name.fingerprint) as number:
            return self._run_again(number, given, progress)

    def _run_again(self, number: int, given: tuple[Any, ...], progress: JobProgress) -> tuple[Any, dict[str, Any]]:
        ended: Exception | None = None
        for _ in range(RETRIES + 1):
            try:
                return self._run_on(self._workers[number], given, progress)
            except self._ray.exceptions.RayActorError as error:
                _LOG.warning("worker %d ended in the middle of work", number)
                ended = error
                self._await(self._workers[number], progress)
        raise VitvizError(
            "The process that computed this ended before it was done. Compute again; if this happens again, choose a "
            "smaller input size."
        ) from ended

    def _await(self, worker: Any, progress: JobProgress) -> None:
        """Waits until a process that ended has been started again, for a while."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            progress.check()
            try:
                self._ray.get(worker.status.options(concurrency_group="talk").remote(), timeout=STEP_SECONDS)
                return
            except (self._ray.exceptions.RayActorError, self._ray.exceptions.GetTimeoutError):
                time.sleep(STEP_SECONDS)

    def _run_on(self, worker: Any, given: tuple[Any, ...], progress: JobProgress) -> tuple[Any, dict[str, Any]]:
        ray, job = self._ray, f"{os.getpid()}-{id(self)}-{next(self._numbers)}"
        talk = {"concurrency_group": "talk"}
        answer = worker.run.options(concurrency_group="work").remote(job, *given)
        try:
            while not ray.wait([answer], timeout=LOOK_SECONDS)[0]:
                fraction = ray.get(worker.fraction.options(**talk).remote(job))
                progress.check() if fraction is None else progress.report(fraction)
        except VitvizError:
            worker.cancel.options(**talk).remote(job)
            raise
        try:
            return ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, VitvizError):
                raise cause from error
            raise
