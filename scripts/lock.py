"""Writes requirements.lock: the versions in this environment of all that the served app needs, one a line.

    python scripts/lock.py            writes the file
    python scripts/lock.py --size     says what the image takes that is made of them

torch is pinned without its CUDA packages: an image for a CPU takes its wheel from another index (Dockerfile), under the
same version.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from importlib.metadata import Distribution, distribution
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
EXTRAS = ("app", "metrics", "sign-in")
# Of torch for a GPU; its CPU build needs none of them.
GPU = re.compile(r"(nvidia|cuda|triton)\b.*")
# What torch's build for a GPU has and its CPU build does not; the rest of both is taken to be of one size.
GPU_LIBRARY = re.compile(r"lib(torch_cuda|torch_nvshmem|c10_cuda|caffe2_nvrtc).*")
# The base image python:3.11-slim, assumed.
BASE_BYTES = 130_000_000
HEAD = "# All that the served app needs, by scripts/lock.py from an environment that passed the tests.\n"


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed() -> dict[str, Distribution]:
    """Distributions by name: the package's own requirements, those of EXTRAS, and all that these require here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = {canonical(name): lines for name, lines in project["optional-dependencies"].items()}
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()

    def walk(line: str, of_extras: frozenset[str]) -> None:
        wanted = Requirement(line)
        if wanted.marker and not any(wanted.marker.evaluate({"extra": extra}) for extra in of_extras | {""}):
            return
        name = canonical(wanted.name)
        asked = (name, frozenset(wanted.extras))
        if asked in seen or GPU.fullmatch(name):
            return
        seen.add(asked)
        if name == "vitviz":
            lines = [each for extra in wanted.extras for each in optional[canonical(extra)]]
        else:
            found[name] = distribution(wanted.name)
            lines = found[name].requires or []
        for each in lines:
            walk(each, frozenset(wanted.extras))

    for line in (*project["dependencies"], f"vitviz[{','.join(EXTRAS)}]"):
        walk(line, frozenset())
    return dict(sorted(found.items()))


def unpacked(package: Distribution) -> int:
    """Bytes of an installed package as in the image: with compiled Python, which pip adds, and without libraries for a GPU."""
    files = [Path(str(each.locate())) for each in package.files or () if "__pycache__" not in each.parts]
    there = [path for path in files if path.is_file() and not GPU_LIBRARY.fullmatch(path.name)]
    return sum(path.stat().st_size + compiled(path) for path in there)


def compiled(path: Path) -> int:
    """Bytes of what pip compiles a file to; where a source was not compiled here, its own, which are about as many."""
    if path.suffix != ".py":
        return 0
    there = Path(cache_from_source(str(path)))
    return (there if there.is_file() else path).stat().st_size


def say_size(packages: dict[str, Distribution]) -> None:
    sizes = {name: unpacked(each) for name, each in packages.items()}
    own = sum(
        path.stat().st_size for room in ("vitviz", "assets") for path in (ROOT / room).rglob("*") if path.is_file()
    )
    for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:10]:
        print(f"{size / 1e6:8.0f} MB  {name}")
    total = BASE_BYTES + own + sum(sizes.values())
    print(f"{own / 1e6:8.0f} MB  vitviz with the embedded model\n{BASE_BYTES / 1e6:8.0f} MB  base image, assumed")
    print(
        f"{total / 1e9:8.2f} GB  computed, not built: torch's CPU build is taken for this one without its libraries for a GPU"
    )


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    reader.add_argument("--size", action="store_true", help="say what the image takes, and write nothing")
    packages = needed()
    if reader.parse_args().size:
        say_size(packages)
    else:
        lines = [f"{name}=={package.version.partition('+')[0]}\n" for name, package in packages.items()]
        (ROOT / "requirements.lock").write_text(HEAD + "".join(lines))


if __name__ == "__main__":
    main()
