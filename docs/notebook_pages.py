"""A hook of MkDocs: notebooks become pages, their text as it is and their code as blocks. Links name them `NAME.md`.

Nothing is run here; the tests run them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files


def on_files(files: Files, config: Any) -> Files:
    """Puts a Markdown page in the place of every notebook."""
    for file in [each for each in files if each.src_path.endswith(".ipynb")]:
        text = page(json.loads(Path(file.abs_src_path).read_text(encoding="utf-8")), Path(file.src_path).name)
        files.remove(file)
        files.append(File.generated(config, file.src_path.replace(".ipynb", ".md"), content=text))
    return files


def on_config(config: Any) -> Any:
    """The navigation names the notebooks themselves; their pages end in .md."""
    config["nav"] = json.loads(json.dumps(config["nav"]).replace(".ipynb", ".md"))
    return config


def page(notebook: dict[str, Any], name: str) -> str:
    """The Markdown of a notebook: nbformat 4, cells of text and of Python."""
    parts = []
    for number, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        if number == 0:
            parts.append(f"This page is the notebook `docs/notebooks/{name}` of the repository. It needs no network.")
    return "\n\n".join(parts) + "\n"
