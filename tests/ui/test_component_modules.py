"""Joining JavaScript modules: each keeps its scope, and what cannot be joined is said instead of shipped."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from vitviz.ui.components.modules import joined


def write(folder: Path, **modules: str) -> Path:
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text, encoding="utf-8")
    return folder


def test_modules_with_equal_private_names_do_not_meet(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not on this machine; it runs the JavaScript tests")
    folder = write(
        tmp_path,
        one='import { start } from "./given.js";\nconst step = 1;\nexport function first() { return start + step; }\n',
        two='import { first } from "./one.js";\nconst step = 10;\nexport const second = () => first() + step;\n',
        entry='import { first } from "./one.js";\nimport { second } from "./two.js";\n'
        "export default () => [first(), second()];\n",
    )
    script = tmp_path / "joined.mjs"
    script.write_text(joined(folder, "entry.js", {"start": 100}), encoding="utf-8")
    program = f"import run from {json.dumps(script.as_uri())}; console.log(JSON.stringify(run()));"
    run = subprocess.run([node, "--input-type=module", "-e", program], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [101, 111]


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"entry": 'import { a } from "./one.js";\n', "one": 'import { b } from "./entry.js";\n'}, "circle"),
        ({"entry": 'import { a } from "./one.js";\n', "one": "const a = 1;\n"}, "does not export"),
        ({"entry": 'import * as one from "./one.js";\n', "one": ""}, "cannot be joined"),
        ({"entry": 'import { a } from "./one.js";\n', "one": "export let a = 1;\n"}, "cannot be joined"),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path: Path, modules: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        joined(write(tmp_path, **modules), "entry.js")
