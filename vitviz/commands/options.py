"""Options that several commands share, and the model, traced image and progress that follow from them."""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vitviz.figures.traced_image import TracedImage
    from vitviz.models import Model
    from vitviz.tokens import Query


# Number of tokens from which the cost is announced: a pass takes more than a few seconds then.
LONG = 2000


def add_subject_options(parser: argparse.ArgumentParser) -> None:
    """Adds options for the picture, the model and the preprocessing."""
    parser.add_argument("image", help="a photograph: JPEG, PNG, WebP, HEIC, AVIF, TIFF, ...")
    add_model_options(parser)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Adds options for the model, its input size and the framing."""
    parser.add_argument(
        "--model",
        default="embedded",
        help='"embedded" (default), a name of timm\'s registry, a .safetensors file, or "hf:owner/name" of transformers',
    )
    parser.add_argument(
        "--weights",
        help='"pretrained", "random", "random:SEED" or a .safetensors file; by default the usual weights of the model',
    )
    parser.add_argument("--size", type=size, metavar="PIXELS", help="input size: 448, or HEIGHTxWIDTH")
    parser.add_argument(
        "--framing", choices=("crop", "squash", "fit"), default="crop", help="centre crop, squashed, or whole image"
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="device to compute on; auto is a GPU if there is one",
    )
    parser.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="precision of the forward pass; auto is float32",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def size(text: str) -> tuple[int, int]:
    """(height, width) from "448" or "224x448"."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 448, or HEIGHTxWIDTH such as 224x448")
    height = int(found[1])
    return height, int(found[2] or height)


def add_query_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option for the query of a map."""
    parser.add_argument(
        "--query",
        type=query,
        help="query token: cls, r3c5, mean, pool, ..., its number, or a mixture such as cls+dist; by default what the output "
        "is computed from",
    )


def query(text: str) -> int | Query:
    """A query from a token's index or from a text form."""
    from vitviz.tokens import Query

    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return Query.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def refuse(options: Mapping[str, bool], why: str) -> None:
    """Raises ValueError with the reason `why` if one of `options`, name -> whether it was given, is used."""
    given = [name for name, is_given in options.items() if is_given]
    if given:
        raise ValueError(f"{' and '.join(given)} cannot be used: {why}")


def loaded_model(arguments: argparse.Namespace) -> Model:
    """The model of the command line, with progress while its weights are downloaded."""
    from vitviz.models import load_model

    bar = TerminalProgress("weights", arguments.quiet)
    model = load_model(
        arguments.model,
        weights=arguments.weights,
        input_size=arguments.size,
        device=arguments.device,
        dtype=arguments.dtype,
        progress=bar,
    )
    bar.close()
    for note in () if arguments.quiet else model.notes:
        print(f"vitviz: {note}", file=sys.stderr)
    return model


def traced_subject(
    arguments: argparse.Namespace, model: Model | None = None, check: Callable[[Model], None] | None = None
) -> TracedImage:
    """The traced picture and model of the command line, for a model of one grid.

    Args:
        arguments: Of the command line.
        model: The loaded model, if there is one already.
        check: Called with the resized model before the pass, which may take minutes; raises errors that are known by then.

    Raises:
        UnsupportedError: For a model whose layers do not share one grid.
    """
    from vitviz.errors import UnsupportedError

    found = any_subject(arguments, model, check)
    if found.trace.not_sequential:
        raise UnsupportedError(
            f"The layers of {found.model.name} do not share one grid of patches, which this needs. Draw them one by one with "
            "`draw --view heads`, or read them with vitviz.trace."
        )
    return found


def any_subject(
    arguments: argparse.Namespace, model: Model | None = None, check: Callable[[Model], None] | None = None
) -> TracedImage:
    """`traced_subject` for a model of any architecture, also with layers of several grids."""
    from vitviz.figures.traced_image import traced_image
    from vitviz.images import image_hash, read_image
    from vitviz.models import prepare

    image, values = read_image(arguments.image)  # before the model, so that errors of the picture come first
    if values and not arguments.quiet:
        print(f"vitviz: {values}", file=sys.stderr)
    model = loaded_model(arguments) if model is None else model
    prepared = prepare(model, image, framing=arguments.framing)
    if check is not None:
        check(prepared.model)
    announce_cost(prepared.model, arguments)
    bar = TerminalProgress("layers", arguments.quiet)
    found = traced_image(prepared, image_hash(image), arguments.image, None if bar.quiet else bar)
    bar.close()
    return found


def announce_cost(model: Model, arguments: argparse.Namespace) -> None:
    """Writes one line on the cost of a long run to standard error.

    Raises:
        UnsupportedError: If there is not enough memory.
    """
    if model.layout.num_tokens < LONG:
        return
    from vitviz.capture.cost import estimate, format_duration, gigabytes, need_memory

    with model.lock:
        found = estimate(model.module, model.input_size)
    if not arguments.quiet:
        print(
            f"vitviz: {found.cost.tokens:,} tokens: about {format_duration(found.seconds)} for the forward pass, "
            f"{format_duration(found.rollout_seconds)} for each rollout, {gigabytes(found.cost.peak)} of memory beside the "
            "model (an estimate; Ctrl-C stops it)",
            file=sys.stderr,
        )
    need_memory(found.cost, model.device)


def check_folder(path: Path) -> None:
    """Raises OSError if no file can be written at `path`: no such folder, no permission, or `path` is a folder."""
    wrong = None
    if not path.parent.is_dir():
        wrong = errno.ENOENT
    elif path.is_dir():
        wrong = errno.EISDIR
    elif not os.access(path.parent, os.W_OK) and not (path.exists() and not path.is_file()):
        wrong = errno.EACCES
    if wrong is not None:
        raise OSError(wrong, os.strerror(wrong), str(path))


@contextmanager
def whole_file(name: str) -> Iterator[Path]:
    """Yields the path of a temporary file that is renamed to `name` at the end of the `with` block.

    After an exception the temporary file is removed. A pipe or a device is written to directly. Raises as `check_folder`;
    enter it before the long computation, so that these errors come first.
    """
    path = Path(name)
    check_folder(path)
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()  # writes to a link's target, so that the link is kept
    check_folder(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


class TerminalProgress:
    """A progress bar on standard error; silent with `quiet`, and if standard error is not a terminal."""

    def __init__(self, what: str, quiet: bool = False) -> None:
        self.what = what
        self.quiet = quiet or not sys.stderr.isatty()
        self.shown: Any = None

    def __call__(self, done: int, total: int) -> None:
        if self.quiet:
            return
        if self.shown is None:
            from tqdm import tqdm

            self.shown = tqdm(desc=self.what, total=total, leave=False, unit_scale=True)
        self.shown.total = total
        self.shown.update(done - self.shown.n)

    def close(self) -> None:
        if self.shown is not None:
            self.shown.close()


def steps(what: str, arguments: argparse.Namespace) -> Callable[[int, int], None]:
    """A progress callback that shows a `TerminalProgress`."""
    return TerminalProgress(what, arguments.quiet)
