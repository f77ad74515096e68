"""The explanation methods, one file each: function, card, options and cost. `explain` runs one, `explain_all` several."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable, Mapping
from importlib import import_module

import numpy as np

from vitviz.analysis.methods.base import Method
from vitviz.analysis.question import Question
from vitviz.errors import NotFiniteError, UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress

Options = Mapping[str, Mapping[str, int]]  # method's key -> option -> value


def find_methods() -> dict[str, Method]:
    """Key -> method of every file in this package except `base`, sorted by `order`.

    Raises:
        ValueError: If two methods have the same key.
    """
    names = [found.name for found in pkgutil.iter_modules(__path__) if found.name != "base"]
    methods: list[Method] = [import_module(f"{__name__}.{name}").METHOD for name in names]
    keys = [method.key for method in methods]
    if len(set(keys)) < len(keys):
        raise ValueError(f"two explanation methods have one key among {', '.join(sorted(keys))}")
    return {method.key: method for method in sorted(methods, key=lambda method: method.order)}


METHODS: dict[str, Method] = find_methods()


def default_options() -> dict[str, dict[str, int]]:
    """Method's key -> its options with their defaults, for the methods that have options."""
    return {key: dict(method.options) for key, method in METHODS.items() if method.options}


def explain(question: Question, key: str, progress: Progress | None = None, **options: int) -> Heatmap:
    """The map of one method. Several methods of the same Question share passes.

    Args:
        question: Model, input and target.
        key: Of the method, as in `METHODS`.
        progress: Called after each step of a slow method; an exception that it raises stops the work.
        **options: Of the method (`METHODS[key].options`), in place of the defaults.

    Returns:
        Heatmap (rows, cols) over the question's grid.

    Raises:
        UnsupportedError: For an unknown key or option, and for a model that the method is not defined for.
        ValueError: For a value that an option does not take.
        NotFiniteError: If the map is not finite.
    """
    heatmap = _method(key).map(question, progress, **options)
    wrong = int(np.count_nonzero(~np.isfinite(heatmap.values)))
    if wrong:
        raise NotFiniteError(
            f"{METHODS[key].name} gives {wrong} of {heatmap.values.size} patches of {question.model.name} a value that is "
            "not finite (not-a-number or infinite), so there is no map. Choose another method or target."
        )
    return heatmap


def _method(key: str) -> Method:
    if key not in METHODS:
        raise UnsupportedError(f"No explanation method is called {key!r}; there are {', '.join(METHODS)}.")
    return METHODS[key]


def explain_all(
    question: Question,
    keys: Iterable[str] | None = None,
    progress: Progress | None = None,
    options: Options | None = None,
) -> dict[str, Heatmap]:
    """The maps of several methods; those that this model does not support are left out.

    Args:
        question: Model, input and target.
        keys: Of the methods; all by default.
        progress: Called with (thousandths done, 1000); an exception that it raises stops the work.
        options: Key -> options, in place of the defaults.

    Returns:
        Key -> Heatmap (rows, cols).

    Raises:
        UnsupportedError: For an unknown key or option.
        ValueError: For a value that an option does not take.
        TypeError: For one string in place of several keys.
        NotFiniteError: If a map is not finite.
    """
    if isinstance(keys, str):
        raise TypeError(f"the methods are a list of keys, and {keys!r} is a single string; write [{keys!r}]")
    keys = list(METHODS if keys is None else keys)
    weights = {key: _method(key).weight for key in keys}
    for key, given in (options or {}).items():  # before any pass, and not as one of what the model does not support
        _method(key).checked(**given)
    whole = sum(weights[key] for key in keys) or 1
    maps: dict[str, Heatmap] = {}
    before = 0.0

    def within(key: str) -> Progress | None:
        if progress is None:
            return None
        start, size, report = before, weights[key], progress
        return lambda done, total: report(round(1000 * (start + size * done / total) / whole), 1000)

    for key in keys:
        try:
            maps[key] = explain(question, key, within(key), **(options or {}).get(key, {}))
        except UnsupportedError:
            continue
        finally:
            before += weights[key]
        if progress:
            progress(round(1000 * before / whole), 1000)
    return maps
