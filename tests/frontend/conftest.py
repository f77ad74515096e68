"""The front end's modules under Node.js, as they are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vitviz.frontend import FOLDER

Run = Callable[..., Any]

PROGRAM = """
import { readFileSync } from "node:fs";
const { files, ...rest } = JSON.parse(readFileSync("given.json"));
const { default: trial } = await import("./trial.mjs");
const buffers = files.map((file) => new Uint8Array(readFileSync(file)).buffer);
console.log(JSON.stringify(await trial(buffers, rest.given)));
"""


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js. Without it the tests of the front end are skipped; in CI that is a failure."""
    path = shutil.which("node")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Node.js on this machine, and CI must not skip the tests of the front end")
        pytest.skip("Node.js is not on this machine; it runs the JavaScript tests")
    return path


@pytest.fixture
def run(tmp_path: Path, node: str) -> Run:
    """run(imports, body, *payloads, **given): what `body`, with files of payloads as `buffers`, returns as JSON.

    Imports are written as in the front end's own folder ("./core/scale.js"). `body` may await.
    """

    def run_module(imports: str, body: str, *payloads: bytes, **given: Any) -> Any:
        found = re.sub(r'from "\./', f'from "{FOLDER.as_uri()}/', imports)
        (tmp_path / "trial.mjs").write_text(f"{found}export default async (buffers, given) => {{ {body} }};\n")
        files = [str(tmp_path / f"{i}.bin") for i in range(len(payloads))]
        for file, payload in zip(files, payloads, strict=True):
            Path(file).write_bytes(payload)
        (tmp_path / "given.json").write_text(json.dumps({"files": files, "given": given}))
        (tmp_path / "program.mjs").write_text(PROGRAM)
        done = subprocess.run([node, "program.mjs"], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run_module
