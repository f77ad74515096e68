"""The glossary: one definition of each term that users read, true for every model."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

# term -> definition in one or two sentences; plurals and other spellings of a term are in `_FORMS`.
GLOSSARY: dict[str, str] = {
    "patch": "A small rectangle of the picture. All patches of a grid have the same size.",
    "token": (
        "One vector of the sequence that the model processes. Most tokens stand for one patch each; others are learned."
    ),
    "embedding": (
        "A vector that represents something: a patch embedding represents the pixels of a patch, a position embedding "
        "its place."
    ),
    "class token": "A learned token in front of the patches. Many models compute their output from it after the last layer.",
    "prefix token": (
        "A token in front of the patches that stands for no part of the picture, such as a class token or a register."
    ),
    "register": (
        "A learned prefix token from which no output is computed. The model may store information in it that belongs to no "
        "single patch."
    ),
    "layer": "One block of the model. It changes every token, in most models first by attention and then by an MLP.",
    "head": (
        "One of several attention operations that a layer computes in parallel, each with its own queries, keys and values."
    ),
    "query": "A vector of a token. Its dot products with the keys of all tokens are the scores of its attention weights.",
    "key": "A vector of a token. A query is compared with the keys of the tokens that it can attend to.",
    "value": "A vector of a token. A head's output is the sum of all values, each multiplied by its attention weight.",
    "attention weight": "How much of one token's value another token takes. After the softmax, the weights of a row sum to 1.",
    "softmax": (
        "Turns scores into positive shares that sum to 1: e to the power of each score, divided by the sum of "
        "these powers."
    ),
    "MLP": (
        "A small network inside a layer: linear steps with a nonlinear function between them. It changes each "
        "token separately."
    ),
    "residual stream": "The vector of a token from layer to layer. Each part of a layer adds to it instead of replacing it.",
    "LayerScale": "Learned factors, one for each component, by which some models multiply the output of attention and MLP.",
    "logit": "The number that the model computes for an output, before it becomes a probability. It may be negative.",
    "probability": (
        "A number from 0 to 1, computed from logits. It shows how the model divides its answers, not how often it is right."
    ),
    "cosine similarity": (
        "The cosine of the angle between two vectors: 1 for one direction, 0 for a right angle, −1 for opposite ones."
    ),
    "sink": (
        "A token that gets more than 10 times the attention of the median patch of its layer, over all heads and "
        "queries."
    ),
    "entropy": "How evenly a row of weights is spread: 0 where one token gets all, 1 where all get the same.",
    "long token": "A token whose vector is more than 3 times as long as the median patch's after the same layer.",
    "rank correlation": (
        "Spearman's correlation: how far two lists agree in their order. 1: the same order, 0: unrelated, −1: reversed."
    ),
}

_FORMS: dict[str, tuple[str, ...]] = {
    "patch": ("patches", "patch"),
    "class token": ("class tokens", "class token"),
    "prefix token": ("prefix tokens", "prefix token"),
    "query": ("queries", "query"),
    "MLP": ("MLPs", "MLP"),
    "residual stream": ("residual streams", "residual stream"),
    "embedding": ("embeddings", "embedding"),
    "cosine similarity": ("cosine similarities", "cosine similarity"),
    "LayerScale": ("LayerScale",),
}

# Also everyday words: they are in the glossary, but not marked inside sentences.
_UNMARKED = {"key", "value", "layer"}
_BY_FORM = {
    form.lower(): term for term in GLOSSARY if term not in _UNMARKED for form in _FORMS.get(term, (f"{term}s", term))
}
# Longest first, so that "class token" is not read as "token"; LaTeX, code, links, tags and format fields are skipped.
_WORDS = "|".join(re.escape(form) for form in sorted(_BY_FORM, key=len, reverse=True))
_SKIPPED = r"\$[^$]*\$|`[^`]*`|\[[^\]]*\]\([^)]*\)|<[^>]*>|\{[^}]*\}"
_TERM = re.compile(rf"(?P<skip>{_SKIPPED})|(?<![\w-])(?P<term>{_WORDS})(?![\w-])", re.IGNORECASE)


def terms_in(text: str) -> list[str]:
    """The terms of the glossary that a text uses, in the order in which they first appear."""
    found = (_BY_FORM[match["term"].lower()] for match in _TERM.finditer(text) if match["term"])
    return list(dict.fromkeys(found))


def marked(text: str, known: Iterable[str] = ()) -> str:
    """Markdown with each term's first occurrence marked up as `<abbr title="its definition">`.

    Args:
        text: Trusted Markdown; format fields in braces are left for a later `str.format`.
        known: Terms to leave unmarked, because they were marked before.

    Returns:
        Markdown with HTML, for `st.markdown(..., unsafe_allow_html=True)`.
    """
    seen = set(known)

    def mark(match: re.Match[str]) -> str:
        written = match["term"]
        if not written or _BY_FORM[written.lower()] in seen:
            return match[0]
        term = _BY_FORM[written.lower()]
        seen.add(term)
        return f'<abbr title="{html.escape(GLOSSARY[term])}" tabindex="0">{written}</abbr>'

    return _TERM.sub(mark, text)
