"""`vitviz faithfulness FOLDER`: which explanations are faithful to a model on somebody's own images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitviz.commands.options import add_model_options, loaded_model

if TYPE_CHECKING:
    from vitviz.models import Model
    from vitviz.survey.faithfulness import Settings


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("faithfulness", help="test every explanation method on a folder of images")
    parser.add_argument("folder", help="the images, subfolders included")
    add_model_options(parser)
    parser.add_argument("--methods", metavar="A,B", help="only these, by their short names")
    parser.add_argument("--limit", type=int, metavar="N", help="only so many images, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, help="which images --limit draws")
    parser.add_argument("--steps", type=int, default=8, metavar="N", help="steps of the deletion and insertion curves")
    parser.add_argument("--integration-steps", type=int, default=24, metavar="N", help="for integrated gradients")
    parser.add_argument("--stride", type=int, default=2, choices=(1, 2, 3), help="patches between occlusion windows")
    parser.add_argument(
        "--keep", metavar="FILE.jsonl", help="each image's areas, written at once; a run that stopped is taken up again"
    )
    parser.add_argument("--out", metavar="FILE.csv", help="the table, as CSV")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Asks every image, prints the table and writes it. Raises VitvizError or ValueError with one sentence."""
    from vitviz.analysis.methods import METHODS, Effort
    from vitviz.survey.faithfulness import Settings, summary
    from vitviz.survey.folder import image_paths
    from vitviz.survey.results import comma_separated, markdown

    methods = tuple(arguments.methods.split(",")) if arguments.methods else tuple(METHODS)
    if unknown := [key for key in methods if key not in METHODS]:
        raise ValueError(f"no explanation method is called {unknown[0]!r}; there are {', '.join(METHODS)}")
    if min(arguments.steps, arguments.integration_steps) < 2 or (arguments.limit is not None and arguments.limit < 2):
        raise ValueError("--steps, --integration-steps and --limit are at least 2")
    settings = Settings(
        methods,
        arguments.steps,
        framing=arguments.framing,
        effort=Effort(arguments.integration_steps, arguments.stride),
    )
    paths = image_paths(Path(arguments.folder), arguments.limit, None if arguments.limit is None else arguments.seed)
    model = loaded_model(arguments)
    results = _asked(model, paths, settings, Path(arguments.keep) if arguments.keep else None, arguments.quiet)
    rows = summary(results)
    print(markdown(rows, len(results)))
    if arguments.out:
        Path(arguments.out).write_text(comma_separated(rows), encoding="utf-8")
        print(f"wrote {arguments.out}", file=sys.stderr)


def _asked(model: Model, paths: list[Path], settings: Settings, keep: Path | None, quiet: bool) -> list[Any]:
    """Areas of every image, those that an earlier run kept first; a progress bar on standard error."""
    from tqdm import tqdm

    from vitviz.survey.faithfulness import survey
    from vitviz.survey.results import append, read

    made_with = (
        f"{model.weights_hash[:12]} {model.input_size[0]}x{model.input_size[1]} {settings.framing} {settings.steps} steps "
        f"{settings.seeds} seeds {settings.effort.integration_steps} points stride {settings.effort.occlusion_stride}"
    )
    wanted = {path.name for path in paths}
    results = [result for result in (read(keep, made_with) if keep else []) if result.image in wanted]
    known = {result.image for result in results}
    left = [path for path in paths if path.name not in known]
    with tqdm(
        total=len(paths), initial=len(paths) - len(left), unit="image", file=sys.stderr, disable=quiet or None
    ) as bar:

        def skipped(path: Path, error: Exception) -> None:
            tqdm.write(f"{path.name} left out: {error}", file=sys.stderr)
            bar.update()

        for result in survey(model, left, settings, skipped):
            results.append(result)
            if keep:
                append(keep, result, made_with)
            bar.update()
    return results
