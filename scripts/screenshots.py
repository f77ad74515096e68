"""Screenshots of every page and each of its parts, in light and dark, in three sizes: to be looked at.

    python scripts/screenshots.py                        # all of them, into build/screenshots
    python scripts/screenshots.py rollout find --sizes laptop phone --schemes dark
    python scripts/screenshots.py --one-of 40            # those whose turn it is with this commit

The app is started as users start it, unless `--server` names one that runs. Every picture is named after page, part, size and
scheme; index.html shows all that lie in the folder side by side.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from html import escape
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import sync_playwright

from tests.browser.serving import CHROMIUM_FLAGS, ROOT, served
from tests.browser.tabs import SCREENSHOTS, AppTab, views
from tests.conftest import commit, has_turn

DESK, FINGER = {"has_touch": False}, {"has_touch": True, "is_mobile": True}
SIZES = {
    "projector": (1024, 768, DESK),
    "laptop": (1280, 800, DESK),
    "phone": (390, 844, FINGER),
    "desk": (1920, 1080, DESK),  # only where it is asked for
    "narrow": (390, 844, DESK),
}
THREE = ("projector", "laptop", "phone")
SCHEMES = ("light", "dark")


def main(given: Sequence[str] | None = None) -> None:
    asked = _parser().parse_args(given)
    wanted = [
        (view, size, scheme)
        for scheme, size, view in product(asked.schemes, asked.sizes, views())
        if (not asked.pages or view.partition("?")[0] in asked.pages)
        and has_turn(f"{view} {size} {scheme}", asked.one_of, int(commit()[:8], 16))
    ]
    running = nullcontext(asked.server) if asked.server else served(ROOT / "app.py")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with running as server, sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=CHROMIUM_FLAGS)
        failed = [name for each in wanted if (name := _taken(chromium, server, *each, asked.out))]
        chromium.close()
    _write_index(asked.out)
    print(f"{len(wanted) - len(failed)} screenshots in {asked.out}")
    if failed:
        raise SystemExit("These pages showed an error:\n" + "\n".join(failed))


def _taken(browser: Any, server: str, view: str, size: str, scheme: str, folder: Path) -> str:
    """Takes one screenshot. Returns what went wrong, or nothing."""
    width, height, kind = SIZES[size]
    tab = AppTab(browser, server, viewport={"width": width, "height": height}, color_scheme=scheme, **kind)
    name = f"{_name(view)}-{size}-{scheme}"
    try:
        tab.open(view.removeprefix("start"))
        tab.page.wait_for_timeout(1500)  # what a figure's script paints after the page's own
        folder.mkdir(parents=True, exist_ok=True)
        tab.page.screenshot(path=folder / f"{name}.png")
        errors = tab.errors()
    finally:
        tab.close()
    return f"{name}: {'; '.join(errors)}" if errors else ""


def _name(view: str) -> str:
    page, _, part = view.partition("?")
    return "-".join(filter(None, [page, part.partition("=")[2]]))


def _write_index(folder: Path) -> None:
    shown = "\n".join(
        f'<figure><img src="{escape(each.name)}" loading="lazy"><figcaption>{escape(each.stem)}</figcaption></figure>'
        for each in sorted(folder.glob("*.png"))
    )
    style = "body { display: flex; flex-wrap: wrap; gap: 1rem; font: 14px sans-serif } img { height: 480px }"
    (folder / "index.html").write_text(
        f"<!doctype html><title>vitviz</title><style>{style}</style>\n{shown}\n", "utf-8"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", help="names of pages; all where none is given")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=THREE)
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=SCHEMES)
    parser.add_argument("--one-of", type=int, default=1, metavar="N", help="one in N, other ones with every commit")
    parser.add_argument("--server", help="the address of an app that runs; one is started without it")
    parser.add_argument("--out", type=Path, default=SCREENSHOTS)
    return parser


if __name__ == "__main__":
    main()
