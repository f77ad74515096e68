"""`vitviz faithfulness FOLDER`: tests explanation methods on a folder of the user's images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vitviz.commands.options import add_model_options, check_folder, loaded_model, refuse, whole_file
from vitviz.errors import ImageError, UnsupportedError

if TYPE_CHECKING:
    from vitviz.models import Model
    from vitviz.survey.faithfulness import Areas, SurveySettings


class MethodOption(NamedTuple):
    """An option of one method in place of its usual value.

    Attributes:
        written: As it was written on the command line.
        method: Key of the method.
        name: Name of the option.
        value: Its value.
    """

    written: str
    method: str
    name: str
    value: int

    @classmethod
    def parse(cls, text: str) -> MethodOption:
        """The option that METHOD.NAME=VALUE stands for."""
        left, _, value = text.partition("=")
        method, _, name = left.strip().partition(".")
        try:
            return cls(f"--option {left.strip()}", method, name, int(value))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not METHOD.NAME=VALUE with a whole number, such as occlusion.stride=3"
            ) from None


# Flags from before --option, which every method's options have.
ALIASES = {
    "--integration-steps": ("integrated_gradients", "steps"),
    "--integration-most": ("integrated_gradients", "most_steps"),
    "--stride": ("occlusion", "stride"),
}


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("faithfulness", help="test every explanation method on a folder of images")
    parser.add_argument("folder", help="the images, subfolders included")
    add_model_options(parser)
    parser.add_argument("--methods", metavar="A,B", help="short names of the methods; by default all")
    parser.add_argument("--limit", type=int, metavar="N", help="number of images, drawn with --seed; by default all")
    parser.add_argument("--seed", type=int, help="seed of the draw of --limit (default: 0)")
    parser.add_argument("--steps", type=int, default=8, metavar="N", help="steps of the deletion and insertion curves")
    parser.add_argument(
        "--option",
        dest="options",
        action="append",
        default=[],
        type=MethodOption.parse,
        metavar="METHOD.NAME=VALUE",
        help="an option of one method, such as occlusion.stride=3; once for each (vitviz.methods() lists them)",
    )
    for flag, (method, name) in ALIASES.items():
        parser.add_argument(
            flag,
            dest="options",
            action="append",
            type=partial(_alias, flag),
            metavar="N",
            help=f"the same as --option {method}.{name}=N",
        )
    parser.add_argument(
        "--keep", metavar="FILE.jsonl", help="file for the areas of each image; a run that stopped continues from it"
    )
    parser.add_argument("--out", metavar="FILE.csv", help="the table, as CSV")
    parser.set_defaults(run=run)


def _alias(flag: str, text: str) -> MethodOption:
    try:
        return MethodOption(flag, *ALIASES[flag], int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, such as 3") from None


def run(arguments: argparse.Namespace) -> None:
    """Computes the areas for every image, prints the table and writes it.

    Raises:
        VitvizError, ValueError: With a message of one sentence.
    """
    from vitviz.analysis.methods import METHODS
    from vitviz.survey.faithfulness import SurveySettings, image_paths, summary
    from vitviz.survey.results import comma_separated, markdown

    methods = tuple(METHODS) if arguments.methods is None else tuple(arguments.methods.split(","))
    if unknown := [key for key in methods if key not in METHODS]:
        raise ValueError(f"no explanation method is called {unknown[0]!r}; there are {', '.join(METHODS)}")
    if arguments.steps < 2 or (arguments.limit is not None and arguments.limit < 2):
        raise ValueError("--steps and --limit are at least 2")
    if arguments.seed is not None and arguments.seed < 0:
        raise ValueError(f"--seed is at least 0, not {arguments.seed}")
    if arguments.limit is None:
        refuse({"--seed": arguments.seed is not None}, "it draws the images of --limit.")
    settings = SurveySettings(
        methods,
        arguments.steps,
        framing=arguments.framing,
        options=_options_of_methods(arguments.options, methods),
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


def _options_of_methods(given: Iterable[MethodOption], methods: Collection[str]) -> dict[str, dict[str, int]]:
    """Method's key -> all its options, of the methods that have any.

    Raises:
        ValueError: For an option that no method of `methods` has, and for a value that its method does not take.
    """
    from vitviz.analysis.methods import METHODS

    own: dict[str, list[MethodOption]] = {key: [] for key, method in METHODS.items() if method.options}
    for option in given:
        if option.name not in getattr(METHODS.get(option.method), "options", ()):
            known = ", ".join(f"{key}.{name}" for key in own for name in METHODS[key].options)
            raise ValueError(f"{option.written} is no option of a method; there are {known}")
        if option.method not in methods:
            refuse({option.written: True}, f"{option.method} is not among --methods.")
        own[option.method].append(option)
    spent = {}
    for key, options in own.items():
        try:
            spent[key] = METHODS[key].checked(**{option.name: option.value for option in options})
        except ValueError as reason:
            raise ValueError(f"{' and '.join(option.written for option in options)}: {reason}") from None
    return spent


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
        raise UnsupportedError(f"{', '.join(absent)} of --methods cannot be used: no map of {model.name} is defined.")
