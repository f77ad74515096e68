"""Blocks in which no attention was recognised, though others of their class attend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn

from vitviz.errors import UnsupportedError

# What mixes tokens without attention. A part that holds one, and multiplies no two tensors, is no attention.
_CONVOLUTIONS = (
    nn.modules.conv._ConvNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
)


def refuse_blocks_without_attention(
    module: nn.Module, attending: Iterable[str], ran: Iterable[nn.Module], multiplying: Iterable[str]
) -> None:
    """Raises UnsupportedError where a block has no recognised attention although another block of its class has.

    attending    dotted names of the modules that made attention calls
    ran          the modules that ran in the same pass
    multiplying  dotted names of the modules that multiplied two tensors of the pass with each other

    Blocks whose mixing is a convolution or a pooling do not count, nor those without anything where others attend.
    """
    parts = dict(module.named_modules())
    ran, multiplying, callers = set(ran), set(multiplying), sorted(set(attending))
    inside = {around for caller in callers for around, _ in _ancestors(caller)}  # they hold a call

    def counts(name: str) -> bool:
        """Whether no call is known in a module that ran, nor in one around it that may have called in its stead."""
        return (
            name not in inside and parts[name] in ran and not any(around in callers for around, _ in _ancestors(name))
        )

    alike: dict[type, list[str]] = {}
    for name, part in parts.items():
        if name and not type(part).__module__.startswith("torch.nn."):
            alike.setdefault(type(part), []).append(name)
    without = {kind: [name for name in names if counts(name)] for kind, names in alike.items()}
    asked: set[tuple[type, str]] = set()
    for caller in callers:
        for name, path in _ancestors(caller):
            kind = type(parts[name])
            if (kind, path) in asked:
                continue
            asked.add((kind, path))
            for other in without.get(kind, ()):
                if _attends_unseen(parts[other], path, parts[caller], other, multiplying):
                    raise UnsupportedError(
                        f"No attention was recognised in {other!r} ({kind.__name__}), although it was in {name!r}, which is of "
                        "the same class. A map without it would be wrong, so none is shown. Choose a model whose layers all "
                        "call scaled_dot_product_attention, or write softmax(scores) @ values."
                    )


def _ancestors(name: str) -> Iterator[tuple[str, str]]:
    """(name of a module around `name` or it itself, path from there to `name`), innermost first, without the whole model."""
    parts = name.split(".") if name else []
    for length in range(len(parts), 0, -1):
        yield ".".join(parts[:length]), ".".join(parts[length:])


def _attends_unseen(block: nn.Module, path: str, attention: nn.Module, name: str, multiplying: set[str]) -> bool:
    """Whether what a block has where others of its class have their `attention` may be attention, too."""
    try:
        part = block.get_submodule(path)
    except AttributeError:
        return False
    own = f"{name}.{path}" if path else name
    if any(one == own or one.startswith(own + ".") for one in multiplying):
        return True
    if next(part.parameters(), None) is None:
        return False
    convolves = any(isinstance(one, _CONVOLUTIONS) for one in part.modules())
    return not convolves or _kinds(part) == _kinds(attention)


def _kinds(part: nn.Module) -> list[str]:
    return sorted(type(one).__name__ for one in part.modules())
