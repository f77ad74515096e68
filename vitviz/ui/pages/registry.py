"""The pages of the app. Each is a folder beside this file; adding a page is adding a folder:

    __init__.py  `PAGE = Page(...)`: the page's name in addresses, its place in the menu, and the parameters of its own
    text.py      every sentence that it shows
    page.py      `render(context)`, imported when the page is opened for the first time
    opening.py   where it can show something before torch and the model are there: `draw()`

What two pages share lies in `ui/controls/` or in `vitviz/figures/`: pages never import pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from vitviz.ui import pages as folders
from vitviz.ui import params
from vitviz.ui.server.settings import SettingsError, settings

if TYPE_CHECKING:  # pages are known before torch is imported
    from vitviz.ui.context import PageContext


@dataclass(frozen=True)
class Page:
    """A page as it is known before it is opened.

    Attributes:
        name: In addresses; the name of its folder.
        place: Pages stand in the menu in the order of these numbers.
        title: In the menu.
        question: Its heading.
        any_model: Whether it shows something of a model whose layers do not share one grid of patches.
        params: Its own parameters in addresses, by name.
    """

    name: str
    place: int
    title: str
    question: str
    any_model: bool = False
    params: Mapping[str, params.Param] = field(default_factory=dict)

    def load(self) -> Callable[[PageContext], None]:
        """The function that draws the page, heading included; imports its module."""
        render: Callable[[PageContext], None] = import_module(f"{folders.__name__}.{self.name}.page").render
        return render

    def opening(self) -> Callable[[], None] | None:
        """The function that draws what the page shows while the server starts, where it has one: `draw` of `opening.py` in its
        folder, which imports neither torch nor matplotlib.
        """
        name = f"{folders.__name__}.{self.name}.opening"
        if find_spec(name) is None:
            return None
        draw: Callable[[], None] = import_module(name).draw
        return draw


@cache
def pages() -> tuple[Page, ...]:
    """All pages in the order of the menu, the start page first; their parameters are declared.

    Raises:
        ValueError: Where two pages have one name, one place or one parameter, or a page's name is not that of its folder.
    """
    found: dict[str, Page] = {}
    for module in iter_modules(folders.__path__):
        if module.ispkg:
            page: Page = import_module(f"{folders.__name__}.{module.name}").PAGE
            if page.name != module.name:
                raise ValueError(
                    f"the page in the folder {module.name!r} calls itself {page.name!r}: give both one name"
                )
            if page.place in (other.place for other in found.values()):
                raise ValueError(f"the page {page.name!r} has a place in the menu that is taken: choose another number")
            found[page.name] = page
    for page in found.values():
        params.declare(page.name, page.params)
    return tuple(sorted(found.values(), key=lambda page: page.place))


def pages_shown() -> tuple[Page, ...]:
    """The pages that the operator has not switched off.

    Raises:
        SettingsError: Where an unknown page or the start page is switched off.
    """
    off, can_be = settings().pages_off, [page.name for page in pages()[1:]]
    if unknown := sorted({*off} - {*can_be}):
        raise SettingsError(
            f"VITVIZ_PAGES_OFF names {', '.join(unknown)[:200]}; pages that can be switched off: {', '.join(can_be)}."
        )
    return tuple(page for page in pages() if page.name not in off)
