"""Which token is which patch: the one place that knows how a sequence unrolls from a picture. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import numpy as np

Values = TypeVar("Values")  # a numpy array, or a torch tensor, which this module need not know


@dataclass(frozen=True)
class TokenLayout:
    """The tokens of one sequence: prefix tokens first, then the patches row by row.

    prefix      names of the prefix tokens in their order: "cls", "dist", "reg0", "reg1", ... ; may be empty
    grid        (rows, cols) of patches; (0, 0) where there are none, as for the one query of a pooling layer
    patch_size  (height, width) of one patch in input pixels
    """

    prefix: tuple[str, ...]
    grid: tuple[int, int]
    patch_size: tuple[int, int]

    def __post_init__(self) -> None:
        if (min(self.grid) < 1 and self.grid != (0, 0)) or min(self.patch_size) < 1:
            raise ValueError(
                f"a layout needs a grid and a patch size of at least 1, not {self.grid} and {self.patch_size}"
            )

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

    def cell_of(self, token: int) -> tuple[int, int] | None:
        """(row, col) of a token, or None for a prefix token. Raises IndexError for a token that does not exist."""
        if not 0 <= token < self.num_tokens:
            raise IndexError(f"token {token} does not exist: the sequence has {self.num_tokens} tokens, counted from 0")
        if token < self.num_prefix:
            return None
        row, col = divmod(token - self.num_prefix, self.grid[1])
        return row, col

    def name_of(self, token: int) -> str:
        """The token's short name: a prefix name as it is, a patch as "r3c5"."""
        cell = self.cell_of(token)
        return self.prefix[token] if cell is None else f"r{cell[0]}c{cell[1]}"

    def token_named(self, name: str) -> int:
        """The inverse of `name_of`. Raises ValueError with the names that exist."""
        if name in self.prefix:
            return self.prefix.index(name)
        row, sep, col = name.removeprefix("r").partition("c")
        if name.startswith("r") and sep and row.isascii() and row.isdigit() and col.isascii() and col.isdigit():
            try:
                return self.token_at(int(row), int(col))
            except IndexError as error:
                raise ValueError(str(error)) from None
        known = ", ".join((*self.prefix, "r0c0", f"r{self.grid[0] - 1}c{self.grid[1] - 1}"))
        raise ValueError(f"no token is called {name!r}; tokens here are {known} and the patches between")

    def patches(self, values: Values) -> Values:
        """Cuts the prefix off and folds the rest: (..., tokens) -> (..., rows, cols); (..., patches) is folded as it is.

        Takes a numpy array or a torch tensor, and gives back the same kind. Raises ValueError for another length.
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
        """(queries, patches) float32: distance in input pixels from the chosen patches (all of them) to every patch."""
        chosen = self.centres[queries]  # (queries, 2)
        down, across = self.centres.reshape(*self.grid, 2)[:, 0, 0], self.centres.reshape(*self.grid, 2)[0, :, 1]
        # Squares are added once a pair, and differences are taken along the sides of the grid only.
        rows = (chosen[:, 0, None, None] - down[:, None]) ** 2  # (queries, rows, 1)
        cols = (chosen[:, 1, None, None] - across) ** 2  # (queries, 1, cols)
        return np.sqrt(rows + cols).reshape(len(chosen), -1)  # (queries, rows, cols) -> (queries, patches)


def prefix_names(num_prefix: int, has_cls: bool, distilled: bool = False) -> tuple[str, ...]:
    """Names for `num_prefix` tokens as timm orders them: class token, distillation token, then registers."""
    names = ("cls",) * has_cls + ("dist",) * distilled
    return names[:num_prefix] + tuple(f"reg{i}" for i in range(num_prefix - len(names)))
