"""The verdict for a name of timm's registry, and for all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from multiprocessing import get_context

import torch

from vitviz.capture.heard import heard
from vitviz.errors import UnsupportedError
from vitviz.models import hugging_face
from vitviz.models.build import architectures, build_on_meta, pretrained_cfg
from vitviz.models.hugging_face.names import is_named
from vitviz.models.layout import layout_of
from vitviz.support.verdict import Support, judge

# A name's verdict asks for one pass without numbers, half a second; a page of names is asked again and again.
_REMEMBERED = 2048


@lru_cache(maxsize=_REMEMBERED)
def support_of(name: str, input_size: tuple[int, int] | None = None) -> Support:
    """What can be shown of a model, by its name in timm's registry, with or without a pretrained tag, or one of
    transformers' ("hf:owner/name" or "hf:./folder"); no weights are read.

    input_size  (height, width) in pixels; the model's own by default. Raises ModelError for an unknown name, HubError where a
                description has to come from the hub and does not.
    """
    try:
        if is_named(name):
            described = hugging_face.describe(name)
            size = input_size or described.input_size
            return judge(name, heard(described.bare, size).placements, layout_of(described.bare, name, size))
        size = input_size or tuple(pretrained_cfg(name).input_size[1:])  # type: ignore[assignment]
        try:
            module = build_on_meta(name)
            placements = heard(module, size).placements
        except AssertionError:  # a size that only the model's fixed grid takes, the remainder of the picture cut off
            module = build_on_meta(name, dynamic_img_size=False)
            placements = heard(module, size).placements
    except UnsupportedError as error:
        return Support(name, "refused", str(error), "", False, False, ())
    found = judge(name, placements)
    return judge(name, placements, layout_of(module, name, size)) if found.verdict == "global" else found


def sweep(
    names: Iterable[str] | None = None, processes: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Iterator[Support]:
    """The verdict for each of the names (all of them by default), in their order, computed on several processors.

    progress  called as progress(done, of how many)
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
