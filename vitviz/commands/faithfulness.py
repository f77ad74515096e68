"""`vitviz faithfulness FOLDER`: tests explanation methods on a folder of the user's images."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitviz.commands.options import add_model_options, check_folder, loaded_model, refuse, whole_file
from vitviz.errors import ImageError, UnsupportedError

# As in vitviz.analysis.methods.integrated_gradients, whose import takes long.
STEPS, MOST_STEPS = 32, 256

# Options of one method only.
_OWN_OPTIONS = {"integrated_gradients": ("--integration-steps", "--integration-most"), "occlusion": ("--stride",)}

if TYPE_CHECKING:
    from vitviz.models import Model
    from vitviz.survey.faithfulness import Areas, SurveySettings


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("faithfulness", help="test every explanation method on a folder of images")
    parser.add_argument("folder", help="the images, subfolders included")
    add_model_options(parser)
    parser.add_argument("--methods", metavar="A,B", help="only these, by their short names")
    parser.add_argument("--limit", type=int, metavar="N", help="only so many images, drawn by --seed")
    parser.add_argument("--seed", type=int, help="which images --limit draws, 0 by default")
    parser.add_argument("--steps", type=int, default=8, metavar="N", help="steps of the deletion and insertion curves")
    parser.add_argument(
        "--integration-steps",
        type=int,
        metavar="N",
        help=f"points of integrated gradients at first, doubled until the shares add up (default: {STEPS})",
    )
    parser.add_argument(
        "--integration-most",
        type=int,
        metavar="N",
        help=f"points beyond which they are not doubled (default: {MOST_STEPS})",
    )
    parser.add_argument("--stride", type=int, choices=(1, 2, 3), help="patches between occlusion windows (default: 2)")
    parser.add_argument(
        "--keep", metavar="FILE.jsonl", help="each image's areas, written at once; a run that stopped is taken up again"
    )
    parser.add_argument("--out", metavar="FILE.csv", help="the table, as CSV")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Computes the areas for every image, prints the table and writes it.

    Raises:
        VitvizError, ValueError: With a message of one sentence.
    """
    from vitviz.analysis.methods import METHODS, usual_options
    from vitviz.survey.faithfulness import SurveySettings, image_paths, summary
    from vitviz.survey.results import comma_separated, markdown

    methods = tuple(METHODS) if arguments.methods is None else tuple(arguments.methods.split(","))
    if unknown := [key for key in methods if key not in METHODS]:
        raise ValueError(f"no explanation method is called {unknown[0]!r}; there are {', '.join(METHODS)}")
    points = STEPS if arguments.integration_steps is None else arguments.integration_steps
    most = MOST_STEPS if arguments.integration_most is None else arguments.integration_most
    if min(arguments.steps, points) < 2 or (arguments.limit is not None and arguments.limit < 2):
        raise ValueError("--steps, --integration-steps and --limit are at least 2")
    if arguments.integration_most is not None and most < points:
        raise ValueError(f"--integration-most is at least the {points} points that there are at first, not {most}")
    if arguments.seed is not None and arguments.seed < 0:
        raise ValueError(f"--seed is at least 0, not {arguments.seed}")
    if arguments.limit is None:
        refuse({"--seed": arguments.seed is not None}, "it draws the images of --limit.")
    for method, options in _OWN_OPTIONS.items():
        if method not in methods:
            given = {name: getattr(arguments, name[2:].replace("-", "_")) is not None for name in options}
            refuse(given, f"{method} is not among --methods.")
    spent = usual_options()
    spent["integrated_gradients"] |= {"steps": points, "most_steps": most}
    if arguments.stride is not None:
        spent["occlusion"]["stride"] = arguments.stride
    settings = SurveySettings(
        methods,
        arguments.steps,
        framing=arguments.framing,
        options=spent,
    )
    folder = Path(arguments.folder)
    keep = Path(arguments.keep) if arguments.keep else None
    paths = image_paths(folder, arguments.limit, None if arguments.limit is None else arguments.seed or 0)
    if len(paths) < 2:
        raise ImageError(f"There is one image in {folder}, and an interval needs at least two.")
    if keep and arguments.out and keep.absolute() == Path(arguments.out).absolute():
        raise ValueError(f"--keep and --out are both {arguments.out}; name two files")
    with ExitStack() as stack:
        part = stack.enter_context(whole_file(arguments.out)) if arguments.out else None
        if keep:
            check_folder(keep)
        model = loaded_model(arguments)
        chosen = methods if arguments.methods is not None else ()
        results = _asked(model, paths, folder, settings, keep, arguments.quiet, chosen)
        if len(results) < 2:
            raise ImageError(
                f"{len(results) or 'None'} of the {len(paths)} files in {folder} could be read as an image, and an interval "
                "needs at least two."
            )
        if absent := [key for key in methods if key not in results[0].areas]:
            print(f"vitviz: left out, because they give no map of {model.name}: {', '.join(absent)}", file=sys.stderr)
        rows = summary(results)
        print(markdown(rows, results))
        if part:
            part.write_text(comma_separated(rows), encoding="utf-8")
    if arguments.out:
        print(f"wrote {arguments.out}", file=sys.stderr)


def _asked(
    model: Model,
    paths: list[Path],
    folder: Path,
    settings: SurveySettings,
    keep: Path | None,
    quiet: bool,
    chosen: tuple[str, ...] = (),
) -> list[Areas]:
    """Areas of every image in the order of `paths`, reused from an earlier run if it kept them; shows a progress bar.

    Raises:
        UnsupportedError: At the first image for which one of the methods `chosen` is not defined.
    """
    from tqdm import tqdm

    from vitviz.survey.faithfulness import file_digest, image_name, made_with, survey
    from vitviz.survey.results import append, read

    made = made_with(model, settings)
    kept = {(result.image, result.digest): result for result in (read(keep, made) if keep else [])}
    found: dict[Path, Areas] = {}
    for path in paths if kept else ():
        with suppress(ImageError):  # a file that cannot be read is reported later, in its turn
            if result := kept.get((image_name(path, folder), file_digest(path))):
                found[path] = result
    for result in found.values():
        _check_methods(model, result, chosen)
    left = [path for path in paths if path not in found]
    with tqdm(
        total=len(paths), initial=len(paths) - len(left), unit="image", file=sys.stderr, disable=quiet or None
    ) as bar:

        def skipped(path: Path, error: Exception) -> None:
            tqdm.write(f"{image_name(path, folder)} left out: {error}", file=sys.stderr)
            bar.update()

        for result in survey(model, left, settings, skipped, folder):
            found[folder / result.image] = result
            if keep:
                append(keep, result, made)
            bar.update()
            _check_methods(model, result, chosen)
    return [found[path] for path in paths if path in found]


def _check_methods(model: Model, result: Areas, chosen: tuple[str, ...]) -> None:
    if absent := [key for key in chosen if key not in result.areas]:
        raise UnsupportedError(
            f"{', '.join(absent)} of --methods cannot be honoured: no map of {model.name} is defined."
        )
