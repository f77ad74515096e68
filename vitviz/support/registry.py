"""The verdict on one name or on all names of timm's registry, and the documentation page of all verdicts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from itertools import groupby
from multiprocessing import get_context

import torch
from torch import nn

from vitviz.capture.coordinates.run import place_calls
from vitviz.errors import INPUT_ERRORS, UnsupportedError
from vitviz.models import hugging_face, repository
from vitviz.models.checkpoint import CheckpointConfig
from vitviz.models.layout import layout_of, refuse_other_channels, size_refusal
from vitviz.models.names import is_transformers_name, timm_location
from vitviz.models.preparation import built_size, give_size, takes_any_size
from vitviz.models.registry import architectures, build_on_meta, pretrained_cfg, timm_version
from vitviz.progress import Progress
from vitviz.support.verdict import VERDICTS, Support, judge

# A verdict takes one pass on the meta device, half a second, and pages of names request the same ones repeatedly.
_REMEMBERED = 2048


def support_of(name: str, input_size: tuple[int, int] | None = None) -> Support:
    """What can be shown of a model; no weights are read.

    Args:
        name: A name of timm's registry, with or without a pretrained tag, or a model on the hub or in a folder
            ("hf-hub:owner/name", "hf:owner/name", "local-dir:./folder", "hf:./folder").
        input_size: (height, width) in pixels; the model's own by default.

    Raises:
        ModelError: For an unknown name.
        HubError: If a configuration cannot be downloaded from the hub.
    """
    # A configuration on the hub or in a folder may change, and "hf:./folder" depends on the working directory: not cached.
    return _judged(name, input_size) if is_transformers_name(name) else _remembered(name, input_size)


@lru_cache(maxsize=_REMEMBERED)
def _remembered(name: str, input_size: tuple[int, int] | None) -> Support:
    return _judged(name, input_size)


def _judged(name: str, input_size: tuple[int, int] | None) -> Support:
    try:
        module, size = _bare_at(name, input_size)
        refuse_other_channels(module, name)
        try:
            placements = place_calls(module, size)
        except INPUT_ERRORS as error:
            raise size_refusal(module, name, size) from error
        found = judge(name, placements)
        return judge(name, placements, layout_of(module, name, size)) if found.verdict == "global" else found
    except UnsupportedError as error:
        return Support(name, "refused", str(error), "", False, False, ())


def _bare_at(name: str, input_size: tuple[int, int] | None) -> tuple[nn.Module, tuple[int, int]]:
    """(the module on the meta device, its input size), resized to `input_size` as by `load_model`.

    Raises:
        UnsupportedError: For a size that the model does not take.
    """
    if is_transformers_name(name):
        described = hugging_face.describe(name)
        return described.bare, input_size or described.input_size
    location = timm_location(name)
    described_by = None if location is None else repository.describe(location)
    architecture = name if described_by is None else described_by.architecture
    config = CheckpointConfig() if described_by is None else described_by.config
    module, cfg = build_on_meta(architecture, **config.build_args()), pretrained_cfg(architecture)
    own = built_size(module, cfg)
    size = input_size or own
    if size != own and not takes_any_size(module, cfg.fixed_input_size):
        give_size(module, name, own, size)
    return module, size


def sweep(
    names: Iterable[str] | None = None, processes: int | None = None, progress: Progress | None = None
) -> Iterator[Support]:
    """The verdict on each of the names in order, computed in several processes.

    Args:
        names: Names of timm's registry; all by default.
        processes: Number of processes; by default that of the processors.
        progress: Called as progress(names done, names in all).
    """
    names = list(names) if names is not None else architectures()
    processes = processes or os.cpu_count() or 1
    report = progress or (lambda done, total: None)
    if processes == 1 or len(names) < 8:
        for done, name in enumerate(names, 1):
            yield support_of(name)
            report(done, len(names))
        return
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=partial(torch.set_num_threads, 1)
    ) as pool:
        for done, support in enumerate(pool.map(support_of, names, chunksize=4), 1):
            yield support
            report(done, len(names))


_MEANING = {
    "global": "Every attention layer relates all tokens of one grid. All pages show it, and rollout is defined.",
    "mixed": "Several grids, pooled keys, class attention, or further layers that cannot be shown. "
    "Every layer that is shown is exact, on its own grid.",
    "windowed": "Attention inside windows. Every window's attention is exact and placed back on the image, "
    "shifted windows included.",
    "refused": "No attention between patches can be shown. The reason is given for each model.",
}


def write_page(supports: Iterable[Support]) -> str:
    """The page as Markdown: counts, then the names by verdict and reason."""
    supports = list(supports)
    counts = Counter(support.verdict for support in supports)
    lines = [
        "# Supported models",
        "",
        f"The verdict for each of the {len(supports):,} names in the registry of timm {timm_version()}. It is decided by",
        "one forward pass without numbers, in which every value is replaced by the place in the picture it belongs to,",
        "and never by a list of classes. This page is written by",
        "`vitviz support --write docs/supported-models.md`.",
        "",
        "| verdict | names | what it means |",
        "|---|---|---|",
        *(f"| {verdict} | {counts[verdict]} | {_MEANING[verdict]} |" for verdict in VERDICTS),
    ]
    for verdict in VERDICTS:
        mine = [support for support in supports if support.verdict == verdict]
        lines += ["", f"## {verdict.capitalize()} ({len(mine)})", ""]
        lines += _rows(mine)
    return "\n".join(lines) + "\n"


def _rows(supports: Sequence[Support]) -> list[str]:
    def words(support: Support) -> tuple[str, str]:
        return support.reason, support.instead

    rows = []
    for (reason, instead), group in groupby(sorted(supports, key=lambda s: (words(s), s.name)), words):
        names = ", ".join(f"`{support.name}`" for support in group)
        rows.append(f"- {reason} {instead}".rstrip() + f"<br>{names}")
    return rows
