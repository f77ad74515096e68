"""The front end as a set of files: every import is met, one file can be made of all, and colours are those of Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from scripts.write_palette import written
from vitviz.draw.scale import table
from vitviz.draw.theme import LIGHT
from vitviz.frontend import FOLDER, modules, version

from .conftest import Run

VIEWS = ["board", "by_hand", "features", "journey", "microscope", "networks", "picture"]


def test_every_import_is_met(node: str, tmp_path: Path) -> None:
    """Importing a module under Node.js fails where a name or a file that it imports does not exist."""
    names = [name for name in [*modules(), "index.js"] if name != "hosts/streamlit_loader.js"]
    addresses = json.dumps([(FOLDER / name).as_uri() for name in names])
    program = f"await Promise.all({addresses}.map((address) => import(address)));"
    subprocess.run([node, "--input-type=module", "-e", program], check=True, cwd=tmp_path)


def test_the_colours_are_those_of_python(run: Run) -> None:
    body = "return [false, true].map((signed) => Array.from(new Uint8Array(coloursOf({ signed }).buffer)));"
    found = run('import { coloursOf } from "./core/scale.js";\n', body)
    for pixels, name in zip(found, (LIGHT.sequential, LIGHT.diverging), strict=True):
        rows = [pixels[at : at + 4] for at in range(0, 1024, 4)]
        assert rows == [[*colour, 255] for colour in table(name).tolist()]
    assert written() in (FOLDER / "core/scale.js").read_text(encoding="utf-8")


def test_words_on_every_colour_can_be_read(run: Run) -> None:
    body = """
    return [false, true].map((signed) => [...Array(256).keys()].map((value) => inkOn(value, { low: 0, high: 255, signed })));"""
    found = run('import { inkOn } from "./core/scale.js";\n', body)
    for inks, name in zip(found, (LIGHT.sequential, LIGHT.diverging), strict=True):
        colours = table(name) / 255  # (256, 3)
        linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        contrast = np.where(np.array(inks) == "#fff", 1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05)
        assert contrast.min() >= 4.5


def test_one_file_can_be_made_of_all(node: str, tmp_path: Path) -> None:
    bundler = shutil.which("esbuild") or FOLDER / "node_modules/.bin/esbuild"
    if not Path(bundler).is_file():
        assert not os.environ.get("CI"), "no esbuild on this machine, and CI must not skip what it checks"
        pytest.skip("esbuild is not on this machine: `npm install --no-save esbuild` in vitviz/frontend brings it")
    built = tmp_path / "vitviz.mjs"
    command = [str(bundler), "index.js", "--bundle", "--format=esm", "--minify", f"--outfile={built}"]
    subprocess.run(command, check=True, cwd=FOLDER, capture_output=True)
    program = f"console.log(JSON.stringify(Object.keys(await import({json.dumps(built.as_uri())})).sort()));"
    done = subprocess.run([node, "--input-type=module", "-e", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == VIEWS


def test_each_change_is_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {f"views/{view}.js" for view in VIEWS} <= modules().keys()
    before = version.__wrapped__()
    changed = {**modules(), "core/scale.js": modules()["core/scale.js"] + b"\n"}
    monkeypatch.setattr("vitviz.frontend.modules", lambda: changed)
    assert version.__wrapped__() != before
