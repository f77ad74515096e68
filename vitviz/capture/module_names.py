"""Which module calls: whose own code is running when a torch function is called.

Read off the call stack, where every module's forward stands with the module itself as first argument. So nothing has to be hung
on the model, and it costs something only at the few calls where it is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from torch import nn


class ModuleNames:
    """The modules of one model, by name. Leaves of torch's own only lend a function to the module that calls them."""

    def __init__(self, named: Iterable[tuple[str, nn.Module]]) -> None:
        """named  what `named_modules()` gives; walking a model's modules takes longer than looking at them"""
        self._names = {id(m): name for name, m in named if not type(m).__module__.startswith("torch.nn.modules")}

    @property
    def calling(self) -> str:
        """Dotted name of the innermost module whose code is running on this thread; "" for the model itself, or none."""
        frame = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if code.co_argcount:
                name = self._names.get(id(frame.f_locals.get(code.co_varnames[0])))
                if name is not None:
                    return name
            frame = frame.f_back  # type: ignore[assignment]
        return ""

    def raising(self, error: BaseException) -> str:
        """Dotted name of the innermost module whose code raised; "" for the model itself, or none."""
        found, trace = "", error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            own = trace.tb_frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
            found, trace = self._names.get(id(own), found), trace.tb_next
        return found


def around(one: str, other: str) -> str:
    """Dotted name of the innermost module around two modules, or of the one that is around the other."""
    if one == other:
        return one
    shared: list[str] = []
    for left, right in zip(one.split("."), other.split("."), strict=False):
        if left != right:
            break
        shared.append(left)
    return ".".join(shared)
