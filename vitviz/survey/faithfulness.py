"""Deletion and insertion areas of every explanation method over many images, compared with two baselines.

The target is each image's predicted class. Differences are paired by image, so that the difficulty of an image cancels.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import bootstrap

import vitviz
from vitviz.analysis.faithfulness import CENTRE, RANDOM, SEEDS, faithfulness
from vitviz.analysis.methods import METHODS, Options, default_options, explain_all
from vitviz.analysis.methods.integrated_gradients import PathAttribution
from vitviz.analysis.question import Question
from vitviz.analysis.targets import default_target
from vitviz.capture.blocks import run
from vitviz.errors import ImageError, IncompleteWarning, UnsupportedError
from vitviz.images import load_image
from vitviz.models import Model, prepare
from vitviz.progress import Progress

RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval.

    Attributes:
        mean: The mean.
        low, high: 2.5th and 97.5th percentile of the resampled means.
    """

    mean: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        return self.low > 0


def mean_interval(values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The 95% percentile bootstrap interval of a mean over images.

    Args:
        values: (images,); for a paired comparison the difference for each image.
        resamples: Number of samples of images, drawn with replacement.
        seed: Of the samples.

    Raises:
        ValueError: For fewer than two values.
    """
    values = np.asarray(values, np.float64)
    if values.size < 2:
        raise ValueError(f"an interval needs at least two images, not {values.size}")
    if np.ptp(values) == 0:
        return Interval(float(values[0]), float(values[0]), float(values[0]))
    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        confidence_level=0.95,
        method="percentile",
        batch=500,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(float(values.mean()), float(found.low), float(found.high))


# Files with other extensions are not opened. The format follows from the content; files that are not images are counted.
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".avif"}


def image_paths(folder: Path, limit: int | None = None, seed: int | None = None) -> list[Path]:
    """Images in a folder and its subfolders.

    Args:
        folder: The folder.
        limit: Largest number of images; all by default.
        seed: Of a random order; by default images are sorted by name.

    Raises:
        ImageError: If the folder does not exist or has no image.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder; give the folder that holds the images.")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise ImageError(f"There is no image in {folder}.")
    if seed is not None:
        paths = [paths[index] for index in np.random.default_rng(seed).permutation(len(paths))]
    return paths[:limit]


def image_name(path: Path, folder: Path | None = None) -> str:
    """The name of an image in results: its path relative to `folder`, with "/" as separator."""
    return (path if folder is None else path.relative_to(folder)).as_posix()


BASELINES = (RANDOM, CENTRE)


@dataclass(frozen=True)
class SurveySettings:
    """Settings of a survey.

    Attributes:
        methods: Keys of the explanation methods.
        steps: Steps of the curves.
        seeds: Number of random orders for each image.
        framing: How the photograph becomes the input: "crop", "squash" or "fit".
        options: Method's key -> its options.
    """

    methods: tuple[str, ...] = tuple(METHODS)
    steps: int = 8
    seeds: int = SEEDS
    framing: str = "crop"
    options: Options = field(default_factory=default_options)


@dataclass(frozen=True)
class Areas:
    """Results of one image.

    Attributes:
        image: The file's path, relative to the surveyed folder if there is one.
        predicted: The predicted class.
        likelihood: Its likelihood for the unchanged image.
        areas: Method or baseline -> (deletion area, insertion area).
        digest: sha256 of the file, to recognise a changed file of the same name.
        incomplete: Methods whose attributions miss completeness by more than their tolerance.
    """

    image: str
    predicted: int
    likelihood: float
    areas: Mapping[str, tuple[float, float]]
    digest: str = ""
    incomplete: tuple[str, ...] = ()


def made_with(model: Model, settings: SurveySettings) -> dict[str, Any]:
    """Everything that the areas depend on besides the image, for JSON: results of other settings are not reused."""
    return {
        "vitviz": vitviz.__version__,
        "model": model.name,
        "architecture": model.architecture,
        "weights": model.weights_hash,
        "outputs": str(model.output_kind),
        "input_size": list(model.input_size),
        "preprocessing": _plain(asdict(model.preprocessing)),
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        **_plain(asdict(settings)),
    }


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The values after a round trip through JSON."""
    return dict(json.loads(json.dumps(values)))


def file_digest(path: Path) -> str:
    """sha256 of a file as hexadecimal digits.

    Raises:
        ImageError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        raise ImageError(f"The file '{path.name}' cannot be opened. Check that it may be read.") from None


def areas_of(
    model: Model, path: Path, settings: SurveySettings, name: str = "", progress: Progress | None = None
) -> Areas:
    """The areas of all methods and baselines for one image.

    Args:
        model: Any model.
        path: The image's file.
        settings: Methods, steps, seeds, framing and options.
        name: Name of the image in the result; the path by default.
        progress: Called with (steps done, steps in all).

    Raises:
        ImageError: For a file that is not an image.
    """
    digest = file_digest(path)
    prepared = prepare(model, load_image(path), settings.framing)
    model, pixels = prepared.model, prepared.input.to(model.device, model.dtype)
    with model.lock, torch.inference_mode(False), torch.no_grad():
        target = default_target(model, run(model.module, pixels[None]).logits[0])
    question = Question(model, pixels, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteWarning)  # reported in `Areas.incomplete`
        maps = explain_all(question, settings.methods, progress, settings.options)
    (found,) = faithfulness(question, maps, levels=(settings.steps,), seeds=settings.seeds)
    areas = {str(row["name"]): (float(row["deletion"]), float(row["insertion"])) for row in found.table()}
    incomplete = tuple(
        key for key, heatmap in maps.items() if isinstance(heatmap, PathAttribution) and not heatmap.complete
    )
    predicted = getattr(target, "index", -1)
    return Areas(name or path.as_posix(), predicted, question.likelihood(), areas, digest, incomplete)


def survey(
    model: Model,
    paths: Iterable[Path],
    settings: SurveySettings = SurveySettings(),
    skipped: Callable[[Path, ImageError], None] | None = None,
    folder: Path | None = None,
) -> Iterator[Areas]:
    """Yields each image's areas; one image is in memory at a time.

    Args:
        model: Any model.
        paths: Files of the images.
        settings: Methods, steps, seeds, framing and options.
        skipped: Called with each file that is not an image and its error; without it the first such error is raised.
        folder: Names of images are paths relative to it, so that files of the same name in two subfolders differ.
    """
    for path in paths:
        try:
            yield areas_of(model, path, settings, image_name(path, folder))
        except ImageError as error:
            if skipped is None:
                raise
            skipped(path, error)
        except UnsupportedError as error:
            raise UnsupportedError(f"{image_name(path, folder)}: {error}") from error


@dataclass(frozen=True)
class Row:
    """One method or baseline over all images.

    Attributes:
        name: The method's key or the baseline's name.
        deletion, insertion: Mean areas; a smaller deletion and a larger insertion area are better.
        ahead: (baseline, "deletion" or "insertion") -> paired difference to the baseline with its interval, above 0 if better.
    """

    name: str
    deletion: float
    insertion: float
    ahead: Mapping[tuple[str, str], Interval]

    @property
    def ahead_of_all(self) -> bool:
        """Whether every interval is above zero."""
        return bool(self.ahead) and all(interval.above_zero for interval in self.ahead.values())


def summary(results: Sequence[Areas]) -> list[Row]:
    """A row for each method, then for each baseline, with paired differences to both baselines.

    A method that is missing for some images is compared on the others.

    Raises:
        ValueError: For fewer than two images.
    """
    names = list(dict.fromkeys(name for result in results for name in result.areas))
    rows = []
    for name in names:
        having = [result for result in results if name in result.areas]
        own = np.array([result.areas[name] for result in having])  # (images, 2)
        ahead: dict[tuple[str, str], Interval] = {}
        for baseline in BASELINES if name not in BASELINES else ():
            other = np.array([result.areas[baseline] for result in having])  # (images, 2)
            ahead[baseline, "deletion"] = mean_interval(other[:, 0] - own[:, 0])
            ahead[baseline, "insertion"] = mean_interval(own[:, 1] - other[:, 1])
        rows.append(Row(name, float(own[:, 0].mean()), float(own[:, 1].mean()), ahead))
    return rows
