"""The app as a script under Streamlit's own test runner, with the real engine and the embedded model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from vitviz.ui.components.modules import joined
from vitviz.ui.components.mounting import FOLDER
from vitviz.ui.shell import main as frame

# Seconds a page may take on a machine that does other things too; nothing is measured here.
PATIENCE = 120


class App:
    """One browser tab. What it shows is read by the words that people see."""

    def __init__(self, page: str = "start", **parameters: str) -> None:
        self.at = AppTest.from_file(str(Path(frame.__file__)), default_timeout=PATIENCE)
        for name, value in parameters.items():
            self.at.query_params[name] = value
        if page != "start":
            self.go(page)
        self.at.run()

    def go(self, page: str) -> None:
        # `switch_page` knows pages that are files; these are functions, known to Streamlit by the hash of their
        # address.
        self.at._page_hash = calc_hash(page)

    @property
    def wrong(self) -> list[str]:
        """Every error on the page: sentences that were meant, and exceptions that were not."""
        return [e.value for e in self.at.error] + [str(e.value) for e in self.at.exception]

    @property
    def text(self) -> str:
        kinds = (self.at.header, self.at.subheader, self.at.markdown, self.at.caption, self.at.info, self.at.warning)
        return "\n".join(str(element.value) for kind in kinds for element in kind)

    @property
    def parameters(self) -> dict[str, str]:
        given = self.at.query_params.items()
        return {name: value if isinstance(value, str) else value[-1] for name, value in given}


@pytest.fixture
def app():
    return App


Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run(imports, body, *payloads): what `body`, with files of payloads as `buffers`, returns as JSON. `body` may await."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not on this machine; it runs the JavaScript tests")

    def run_module(imports: str, body: str, *payloads: bytes, words: dict[str, str] | None = None, **given: Any) -> Any:
        modules = shutil.copytree(FOLDER, tmp_path / "modules", dirs_exist_ok=True)
        trial = f'{imports}import {{ given }} from "./given.js";\nexport default async (buffers) => {{ {body} }};\n'
        (modules / "trial.js").write_text(trial)
        blank = {"sequential": "00" * 768, "signed": "00" * 768}
        text = joined(modules, "trial.js", {"given": given, "WORDS": words or {}, "COLOURS": blank})
        (tmp_path / "trial.mjs").write_text(text)
        files = []
        for i, payload in enumerate(payloads):
            files.append(str(tmp_path / f"{i}.bin"))
            Path(files[-1]).write_bytes(payload)
        program = (
            'import { readFileSync } from "node:fs"; import trial from "./trial.mjs";'
            "const read = (file) => new Uint8Array(readFileSync(file)).buffer;"
            f"console.log(JSON.stringify(await trial({json.dumps(files)}.map(read))));"
        )
        (tmp_path / "program.mjs").write_text(program)
        done = subprocess.run([node, "program.mjs"], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run_module
