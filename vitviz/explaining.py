"""Explanations of a question, or from a model and an image or a trace: `vitviz.explain`, `explain_all` and `methods`."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import SupportsIndex

from PIL import Image
from torch import Tensor

from vitviz.analysis.methods import METHODS, Options
from vitviz.analysis.methods import explain as explain_question
from vitviz.analysis.methods import explain_all as explain_with_all
from vitviz.analysis.methods.base import Method
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit, SelfDot, Target, default_target
from vitviz.capture.trace import Trace
from vitviz.heatmap import Heatmap
from vitviz.models import Model, prepare, resized
from vitviz.progress import Progress


def methods() -> dict[str, Method]:
    """The explanation methods by the names that `explain` takes, each with its card.

    A card has the method's display name, formula, reference, cost and known failures (`limitations`), and says whether the map
    depends on the target (`per_class`) and whether it has a sign (`signed`).

    Returns:
        Key -> method, in the order of `Method.order`.
    """
    return dict(METHODS)


def explain(
    model: Model | Question,
    image: Image.Image | Trace | None = None,
    *,
    method: str = "rollout",
    target: Target | SupportsIndex | None = None,
    framing: str = "crop",
    progress: Progress | None = None,
    **options: int,
) -> Heatmap:
    """A map of each patch's relevance for one number of the model's output, by one explanation method.

    Args:
        model: A loaded model; or a Question, which has its image and target already and caches what several methods need.
        image: A photograph, or a trace of it by this model; the trace's forward pass is reused if the method needs no other.
        method: A key of `methods()`.
        target: The output to explain: an index of the model's outputs or a Target. Default: the most probable class or label;
            for regression the first output; for a model without a classifier the pooled output's dot product with itself.
        framing: "crop", "squash" or "fit", as in `trace`; not used with a trace.
        progress: Called after each step of a slow method; an exception that it raises stops the work.
        **options: Options of the method (`methods()[method].options`).

    Returns:
        Heatmap (rows, cols). The unit depends on the method: between methods only the order of patches can be compared.

    Raises:
        UnsupportedError: For an unknown method or option, a target that the model does not have, and a method that is not
            defined for this model.
        MissingPackageError: For a method that needs a package that is not installed.
        ValueError: For a trace of another model, and a value that an option does not take.
        TypeError: For a model without an image, and a question with one or with a target.
    """
    return explain_question(_question(model, image, target, framing), method, progress, **options)


def explain_all(
    model: Model | Question,
    image: Image.Image | Trace | None = None,
    *,
    methods: Iterable[str] | None = None,
    target: Target | SupportsIndex | None = None,
    framing: str = "crop",
    progress: Progress | None = None,
    options: Options | None = None,
) -> dict[str, Heatmap]:
    """The maps of several methods, which share their passes; those that this model does not support are left out.

    Args:
        model: As in `explain`.
        image: As in `explain`.
        methods: Keys of `methods()`; all of them where not given.
        target: As in `explain`.
        framing: As in `explain`.
        progress: Called with (thousandths done, 1000); raise from it to stop.
        options: Of each method by its key, in place of the usual ones: {"occlusion": {"stride": 1}}.

    Returns:
        Key -> Heatmap (rows, cols).

    Raises:
        UnsupportedError: For an unknown method or option, and a target that the model does not have.
        ValueError: As `explain`.
        TypeError: As `explain`, and for one string in place of a list of methods.
    """
    return explain_with_all(_question(model, image, target, framing), methods, progress, options)


def _question(
    model: Model | Question,
    image: Image.Image | Trace | None,
    target: Target | SupportsIndex | None,
    framing: str,
) -> Question:
    if isinstance(model, Question):
        if image is not None or target is not None:
            raise TypeError(
                "a Question has its image and its target already; give it alone, or a model with an image and a target"
            )
        return model
    if image is None:
        raise TypeError("an explanation is of a model and an image or a trace of one, or of a Question")
    return question_of(model, image, target, framing)


def question_of(
    model: Model, image: Image.Image | Trace, target: Target | SupportsIndex | None = None, framing: str = "crop"
) -> Question:
    """A `Question` for several methods: passes that they share are computed once.

    Args and errors as `explain`.
    """
    if isinstance(image, Trace):
        if (image.model_name, image.weights_hash) != (model.name, model.weights_hash):
            raise ValueError(f"the trace is one of {image.model_name} and not of {model.name} with these weights")
        height, width = image.input.shape[-2:]
        asked = model if (height, width) == model.input_size else resized(model, (height, width))
        question = Question(asked, image.input, as_target(asked, image.logits, target))
        question.reuse({"trace": image})
        return question
    prepared = prepare(model, image, framing)
    asked = prepared.model
    if target is not None:
        return Question(asked, prepared.input, as_target(asked, None, target))
    plain = Question(
        asked, prepared.input, SelfDot()
    )  # SelfDot is defined for every model; this pass gives the logits that decide the default target
    question = Question(asked, prepared.input, as_target(asked, plain.reference.logits[0], None))
    question.reuse(plain.passes)
    return question


def as_target(model: Model, logits: Tensor | None, target: Target | SupportsIndex | None) -> Target:
    """The Target for an index of the outputs; for None the default, which is read from `logits` (outputs,)."""
    if target is None:
        assert logits is not None
        return default_target(model, logits)
    return ClassLogit(operator.index(target)) if isinstance(target, SupportsIndex) else target


def target_name(question: Question) -> str:
    """The target's display name: "motorbike", "motorbike, not bicycle", "output 3", "the pooled output"."""
    labels = getattr(question.model, "labels", None)

    def name(index: int) -> str:
        return labels[index] if labels else f"output {index}"

    target = question.target
    if isinstance(target, ClassLogit):
        return name(target.index)
    if isinstance(target, SelfDot):
        return "the pooled output" if target.token is None else f"token {question.layout.name_of(target.token)}"
    one, other = getattr(target, "index", None), getattr(target, "other", None)
    return str(target) if one is None or other is None else f"{name(one)}, not {name(other)}"
