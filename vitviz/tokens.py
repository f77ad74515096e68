"""`TokenLayout` (which token is which patch), names of tokens, and `Query` (the query of a map). numpy only."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, SupportsIndex, TypeVar, cast

import numpy as np

Values = TypeVar("Values")  # a numpy array or a torch tensor; torch is not imported here

MEAN = "mean"  # the mean over all patch queries: what a head that averages patches reads
POOL = "pool"  # the learned query or queries of a pooling layer at the end of the model

Cell = tuple[int, int]  # (row, col) of a patch

CELL = re.compile(r"r([0-9]{1,4})c([0-9]{1,4})")  # the name of a patch: "r3c5"
_NAME = re.compile(rf"[a-z]{{1,8}}[0-9]{{0,4}}|{CELL.pattern}")
_MOST_PARTS = 16


def cell_name(row: int, col: int) -> str:
    """The name of the patch in `row`, `col`: "r3c5"."""
    return f"r{int(row)}c{int(col)}"


def cell_of_name(name: str, grid: tuple[int, int] | None = None) -> Cell | None:
    """(row, col) of a patch's name; None for other text and for a patch outside `grid`. The inverse of `cell_name`."""
    found = CELL.fullmatch(name)
    cell = (int(found[1]), int(found[2])) if found else None
    return cell if cell is None or grid is None or (cell[0] < grid[0] and cell[1] < grid[1]) else None


@dataclass(frozen=True, eq=False)
class Query:
    """The query of a map: a token, the mean over patches, the pooling query, or a weighted set of those.

    The text form is "cls", "r3c5", "mean", "pool", "cls+dist" for equal shares, "0.4*cls+0.6*mean" for others; `parse` is its
    inverse. A query equals its text form, because links, files and snippets hold the text.

    Attributes:
        parts: (name, weight) of each part. A name is that of a token in a `TokenLayout` ("cls", "reg0", "r3c5"), MEAN, or
            POOL, which stands alone. Weights are positive and relative; what counts is their share of the sum.

    Raises:
        ValueError: For an empty set, a weight that is not positive, and POOL beside other parts.
    """

    parts: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        names = [name for name, _ in self.parts]
        if not 0 < len(names) <= _MOST_PARTS or len(set(names)) < len(names):
            raise ValueError(f"a query has 1 to {_MOST_PARTS} parts with different names, not {len(names)}: {names}")
        for name, weight in self.parts:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f'{name!r} is not the name of a query; write for example cls, r3c5, mean or "0.4*cls+0.6*mean"'
                )
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(f"the weight of {name} in a query is a positive number, not {weight}")
        if POOL in names and len(names) > 1:
            raise ValueError("the pooling query cannot be mixed with other queries")
        kept = [float(f"{weight:g}") for _, weight in self.parts]  # rounded to the six digits of the text form
        kept = [1.0] * len(kept) if len(set(kept)) == 1 else kept
        object.__setattr__(self, "parts", tuple(zip(names, kept, strict=True)))

    @classmethod
    def parse(cls, text: str) -> Query:
        """The query with this text form. Raises ValueError for other text."""
        parts = []
        for part in text.split("+")[: _MOST_PARTS + 1]:
            weight, times, name = part.strip().rpartition("*")
            try:
                parts.append((name.strip(), float(weight) if times else 1.0))
            except ValueError:
                raise ValueError(f"{weight.strip()!r} in the query {text[:60]!r} is not a number") from None
        return cls(tuple(parts))

    @classmethod
    def of(cls, value: QueryLike, layout: TokenLayout) -> Query:
        """The query of an index of `layout`, a text form or a Query.

        Raises:
            ValueError: For a text that is no query.
            IndexError: For a token that does not exist.
        """
        if isinstance(value, Query):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        return cls(((layout.name_of(operator.index(value)), 1.0),))

    def __str__(self) -> str:
        texts = (name if weight == 1 else f"{weight:g}*{name}" for name, weight in self.parts)
        return "+".join(text.replace("e+", "e") for text in texts)  # a plus sign separates parts

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Query | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.parts)

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """(name, share) of each part; shares sum to 1."""
        total = sum(weight for _, weight in self.parts)
        return tuple((name, weight / total) for name, weight in self.parts)

    @property
    def pools(self) -> bool:
        """Whether it is the pooling query, which is not a token of the earlier layers."""
        return POOL in self.names

    @property
    def cell(self) -> Cell | None:
        """(row, col) of a query of one patch; None for any other query."""
        return cell_of_name(self.parts[0][0]) if len(self.parts) == 1 else None

    def weights(self, layout: TokenLayout) -> np.ndarray:
        """The weight of each token's row in `layout`; the sum is 1.

        Returns:
            (tokens,) float64.

        Raises:
            ValueError: For a name that `layout` does not have; the pooling query is one.
        """
        rows = np.zeros(layout.num_tokens)
        for name, share in self.shares:
            if name != MEAN:
                rows[layout.token_named(name)] += share
            elif layout.num_patches:
                rows[layout.num_prefix :] += share / layout.num_patches
            else:
                raise ValueError("there are no patches here to take the mean of")
        return rows


QueryLike = SupportsIndex | str | Query  # a token's index (also numpy's integers), a text form, or a query


@dataclass(frozen=True)
class TokenLayout:
    """The tokens of one sequence: prefix tokens first, then the patches row by row.

    Attributes:
        prefix: Names of the prefix tokens in order: "cls", "dist", "reg0", "reg1", ... ; may be empty.
        grid: (rows, cols) of patches; (0, 0) without patches, as for the queries of a pooling layer.
        patch_size: (height, width) of one patch in input pixels.
    """

    prefix: tuple[str, ...]
    grid: tuple[int, int]
    patch_size: tuple[int, int]

    def __post_init__(self) -> None:
        if (min(self.grid) < 1 and self.grid != (0, 0)) or min(self.patch_size) < 1:
            raise ValueError(
                f"a layout needs a grid and a patch size of at least 1, not {self.grid} and {self.patch_size}"
            )

    def describe(self) -> str:
        """A short description: "16x16 patches and cls"."""
        patches = f"{self.grid[0]}x{self.grid[1]} patches" if self.num_patches else "no patches"
        return " and ".join([patches, *([", ".join(self.prefix)] if self.prefix else [])])

    @property
    def num_prefix(self) -> int:
        return len(self.prefix)

    @property
    def num_patches(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def num_tokens(self) -> int:
        return self.num_prefix + self.num_patches

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels of the input that the grid covers."""
        return self.grid[0] * self.patch_size[0], self.grid[1] * self.patch_size[1]

    def token_at(self, row: int, col: int) -> int:
        """The token index of the patch in `row`, `col`. Raises IndexError outside the grid."""
        rows, cols = self.grid
        if not (0 <= row < rows and 0 <= col < cols):
            raise IndexError(f"patch ({row}, {col}) is outside the grid of {rows} rows and {cols} columns")
        return self.num_prefix + row * cols + col

    def cell_of(self, token: int) -> Cell | None:
        """(row, col) of a token, or None for a prefix token. Raises IndexError for a token that does not exist."""
        if not 0 <= token < self.num_tokens:
            raise IndexError(f"token {token} does not exist: the sequence has {self.num_tokens} tokens, counted from 0")
        if token < self.num_prefix:
            return None
        row, col = divmod(token - self.num_prefix, self.grid[1])
        return row, col

    def name_of(self, token: int) -> str:
        """The token's short name: a prefix token's name, or "r3c5" for a patch."""
        cell = self.cell_of(token)
        return self.prefix[token] if cell is None else cell_name(*cell)

    def token_named(self, name: str) -> int:
        """The inverse of `name_of`. Raises ValueError for an unknown name; the message lists those that exist."""
        if name in self.prefix:
            return self.prefix.index(name)
        cell = cell_of_name(name)
        if cell is not None and self.num_patches:
            try:
                return self.token_at(*cell)
            except IndexError as error:
                raise ValueError(str(error)) from None
        if not self.num_patches:
            raise ValueError(f"no token is called {name!r}; tokens here are {', '.join(self.prefix)}")
        known = ", ".join((*self.prefix, cell_name(0, 0), cell_name(self.grid[0] - 1, self.grid[1] - 1)))
        raise ValueError(f"no token is called {name!r}; tokens here are {known} and the patches between")

    def cell_named(self, name: str) -> Cell | None:
        """(row, col) of the patch with this name; None if it is not a patch of this layout."""
        return cell_of_name(name, self.grid)

    def patches(self, values: Values) -> Values:
        """Drops the prefix tokens and reshapes: (..., tokens) or (..., patches) -> (..., rows, cols).

        Takes a numpy array or a torch tensor and returns the same type.

        Raises:
            ValueError: For a last axis of another length.
        """
        given = cast(Any, values)
        length = given.shape[-1]
        if length == self.num_tokens:
            given = given[..., self.num_prefix :]  # (..., patches)
        elif length != self.num_patches:
            raise ValueError(
                f"the last axis has {length} values; this layout has {self.num_tokens} tokens, "
                f"{self.num_patches} of them patches"
            )
        return cast(Values, given.reshape(*given.shape[:-1], *self.grid))  # (..., rows, cols)

    @cached_property
    def centres(self) -> np.ndarray:
        """(patches, 2) float32: row and column position of every patch's centre, in input pixels."""
        rows, cols = np.divmod(np.arange(self.num_patches), self.grid[1])
        cells = np.stack([rows, cols], axis=1).astype(np.float32)  # (patches, 2)
        return (cells + 0.5) * np.asarray(self.patch_size, np.float32)

    def distances(self, queries: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(queries, patches) float32: distance in input pixels from `queries` (default: all patches) to every patch."""
        chosen = self.centres[queries]  # (queries, 2)
        down, across = self.centres.reshape(*self.grid, 2)[:, 0, 0], self.centres.reshape(*self.grid, 2)[0, :, 1]
        # Differences along each axis are squared once for each row and column; only the sum is taken for every pair.
        rows = (chosen[:, 0, None, None] - down[:, None]) ** 2  # (queries, rows, 1)
        cols = (chosen[:, 1, None, None] - across) ** 2  # (queries, 1, cols)
        return np.sqrt(rows + cols).reshape(len(chosen), -1)  # (queries, rows, cols) -> (queries, patches)


def prefix_names(num_prefix: int, has_cls: bool, distilled: bool = False) -> tuple[str, ...]:
    """Names of `num_prefix` prefix tokens in timm's order: class token, distillation token, then registers."""
    names = ("cls",) * has_cls + ("dist",) * distilled
    return names[:num_prefix] + tuple(f"reg{i}" for i in range(num_prefix - len(names)))
