"""`docs/supported-models.md`, written from the verdicts themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from vitviz.models.build import timm_version
from vitviz.support.verdict import VERDICTS, Support

_MEANING = {
    "global": "Every attention layer relates all tokens of one grid. Everything works, rollout included.",
    "mixed": "Several grids, pooled keys, class attention, or layers beside it that cannot be shown. "
    "Every layer that is shown is exact, on its own grid.",
    "windowed": "Attention inside windows. Every window's attention is exact and placed back on the image, "
    "shifted windows included.",
    "refused": "No attention between patches can be shown; the reason says why.",
}


def write_page(supports: Iterable[Support]) -> str:
    """The page as Markdown: counts, then every name under its verdict, names with the same reason together."""
    supports = list(supports)
    counts = Counter(support.verdict for support in supports)
    lines = [
        "# Supported models",
        "",
        f"The verdict for each of the {len(supports):,} names in the registry of timm {timm_version()}. It is decided by",
        "one forward pass without numbers, in which every value is replaced by the place in the picture it belongs to,",
        "and never by a list of classes. This page is written by",
        "`python -m vitviz support --write docs/supported-models.md`.",
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
