"""Small JavaScript modules made into one text, because Streamlit takes a component's script as one text.

Streamlit serves a folder of modules only for an installed package that declares it; from a clone a component's script is a
string, loaded from a blob address that relative imports cannot start from. So the modules of a folder are joined when the
component is registered: each keeps a scope of its own, and what it exports is all that the others see. They stay ordinary
modules that an editor understands, within two rules that are checked here:

    import { a, b } from "./name.js";           the only form of import, at the top
    export function | class | const  name       the only forms of export; the entry has one `export default`

"./given.js" is no file: it stands for values that Python hands over (sentences, colour tables).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

GIVEN = "given.js"

_IMPORT = re.compile(r'^import \{ ([\w$, ]+) \} from "\./([\w.-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) ([\w$]+)", re.MULTILINE)
_FORBIDDEN = re.compile(r"^(?:import|export (?!default ))[^\n]*", re.MULTILINE)


def joined(folder: Path, entry: str, given: Mapping[str, Any] | None = None) -> str:
    """The module `entry` of `folder` and all it imports, as one module with the entry's default export.

    given  name -> value that JSON can hold, for `import { name } from "./given.js"`

    Raises ValueError for an import or export of another form, a circle of imports, or a name that is not exported.
    """
    parts: dict[str, str] = {}  # module name -> its text, those imported first
    exports: dict[str, tuple[str, ...]] = {}
    if given is not None:
        lines = [f"const {name} = {json.dumps(value, sort_keys=True)};\n" for name, value in given.items()]
        exports[GIVEN] = tuple(given)
        parts[GIVEN] = _scoped(GIVEN, "".join(lines), exports[GIVEN])

    def add(name: str, importers: tuple[str, ...]) -> None:
        if name in importers:
            raise ValueError(f"modules import each other in a circle: {' -> '.join((*importers, name))}")
        if name in parts:
            return
        source = (folder / name).read_text(encoding="utf-8")
        for names, wanted in _IMPORT.findall(source):
            add(wanted, (*importers, name))
            missing = {n.strip() for n in names.split(",")} - set(exports[wanted])
            if missing:
                raise ValueError(f"{name} imports {', '.join(sorted(missing))}, which {wanted} does not export")
        body = _IMPORT.sub(lambda m: f"const {{ {m[1]} }} = {_scope_name(m[2])};\n", source)
        exports[name] = tuple(exported for _, exported in _EXPORT.findall(body))
        body = _EXPORT.sub(r"\1 \2", body)
        if wrong := _FORBIDDEN.search(body):
            raise ValueError(f"{name} has an import or export that cannot be joined: {wrong[0]}")
        parts[name] = body if not importers else _scoped(name, body, exports[name])

    add(entry, ())
    return "\n".join(parts.values())


def _scope_name(name: str) -> str:
    return "$" + re.sub(r"\W", "_", name)


def _scoped(name: str, body: str, exported: tuple[str, ...]) -> str:
    return f"const {_scope_name(name)} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();\n"
