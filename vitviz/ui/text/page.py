"""The words that every page has: its question, and what helps to look at its figure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PageText:
    """title       in the navigation
    question    the heading
    lead        at most three sentences
    try_this, notice, catch   what to do, what to look for, and when the picture misleads
    formula     Markdown with LaTeX between dollars
    references  Markdown, one work each
    """

    title: str
    question: str
    lead: str
    try_this: str
    notice: str
    catch: str
    formula: str
    references: tuple[str, ...] = ()
