"""From a name with the prefix "hf:" to a model that is ready to run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vitviz.capture.modules import input_channels
from vitviz.errors import HubError, ModelError
from vitviz.models.checkpoint import for_channels
from vitviz.models.hub import STILL_WORKS, Progress
from vitviz.models.hugging_face.build import (
    Plan,
    image_processor,
    library,
    planned,
    with_random_weights,
    with_weights,
    without_numbers,
)
from vitviz.models.hugging_face.files import configuration, processor_settings, weights_file
from vitviz.models.hugging_face.module import HuggingFaceModule
from vitviz.models.hugging_face.names import Place, place_of
from vitviz.models.hugging_face.preprocessing import preprocessing_of
from vitviz.models.labels import one_line
from vitviz.models.layout import layout_of, refuse_other_channels
from vitviz.models.model import Model, Preprocessing
from vitviz.models.weights import read_weights, refuse_not_finite, sha256_of


@dataclass(frozen=True)
class Description:
    """What is known of a model before its weights are read.

    place       where its files are: a folder, or the hub
    plan        how its module is built
    bare        the module on the meta device
    input_size  (height, width) that its image processor makes, in whole patches
    notes       what had to be assumed, in sentences
    """

    place: Place
    plan: Plan
    bare: HuggingFaceModule
    preprocessing: Preprocessing
    input_size: tuple[int, int]
    notes: tuple[str, ...] = ()


def describe(name: str) -> Description:
    """From the two small files of a description. Raises UnsupportedError for what is no vision model that is known here,
    ModelError as `load_model` for files that cannot be had or read.
    """
    library()
    place = place_of(name)
    plan = planned(name, configuration(place))
    bare = without_numbers(plan)
    refuse_other_channels(bare, name)
    settings = processor_settings(place)
    processor = image_processor(plan, settings)
    preprocessing, wanted = preprocessing_of(processor, bare.native_size, described=bool(settings))
    preprocessing = for_channels(preprocessing, input_channels(bare))
    notes: tuple[str, ...] = ()
    if not settings:
        notes = (
            f"{name} comes without an image processor: pictures get the size that its configuration names, {wanted[0]} x "
            f"{wanted[1]} pixels, and the mean and deviation that transformers' {type(processor).__name__} has by itself.",
        )
    height, width = (max(patch, side - side % patch) for side, patch in zip(wanted, bare.patch_size, strict=True))
    return Description(place, plan, bare, preprocessing, (height, width), notes)


def load(name: str, seed: int | None = None, progress: Progress | None = None) -> Model:
    """A vision model of transformers, from the hub ("hf:owner/name") or a folder ("hf:./folder").

    seed  random weights in place of the trained ones, the same for the same seed

    The input size is the one its image processor makes, in whole patches: what is left over at the right and at the bottom,
    which the model would drop, is not made. Nothing is downloaded before the description was found to be of a model that
    can be shown. Raises as `load_model`.
    """
    described = describe(name)
    place, plan, input_size = described.place, described.plan, described.input_size
    layout = layout_of(described.bare, name, input_size)  # before anybody waits for a download
    if seed is not None:
        module, weights, weights_hash = with_random_weights(plan, seed), "random", f"random:{seed}"
    else:
        path = weights_file(place, progress)
        try:
            module = with_weights(plan, read_weights(path), f"The weights of {name}")
        except ModelError as error:
            raise (ModelError(str(error)) if place.folder else HubError(f"{error} {STILL_WORKS}")) from error
        refuse_not_finite(module, f"The weights of {name}")
        weights, weights_hash = "pretrained", sha256_of(path)
    return Model(
        name=name,
        architecture=plan.made,
        module=module,
        layout=layout,
        input_size=input_size,
        preprocessing=described.preprocessing,
        labels=None if seed is not None else _labels(plan.config.id2label, module.num_classes),
        weights=weights,
        weights_hash=weights_hash,
        output_kind=module.output_kind,
        dynamic_size=True,
        notes=described.notes,
    )


def _labels(names: Any, num_classes: int) -> tuple[str, ...] | None:
    """One label a class, or None where there is no classifier, or nobody gave its classes names."""
    if not isinstance(names, dict):
        return None
    labels = tuple(one_line(str(names.get(index, ""))) for index in range(num_classes))
    named = [label for label in labels if not re.fullmatch(r"(LABEL_\d+)?", label)]
    return labels if named else None
