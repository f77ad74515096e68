"""Where in the picture every number of a forward pass belongs: a tensor of coordinates that travels through the model.

Attention calls show what is related, not which token is which patch: models cut their maps into windows, roll, pad, pool and
fold them before they attend. So the model's own forward pass is run once on coordinates in place of numbers: a function that
moves numbers moves coordinates in the same way, one that computes on a token (a projection, a norm, an activation) keeps
them, and a convolution's output belongs where the centre of its kernel was. No list of architectures is needed, and an
unknown shift or partition is followed as well.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.modules import RGB, evaluating, input_channels
from vitviz.errors import CaptureError, VitvizError

NOWHERE = complex(float("nan"), float("nan"))  # padding
CONSTANT = complex(-(2.0**20), 0.0)  # a learned token: it belongs to no place in the picture
EVERYWHERE = complex(2.0**20, 0.0)  # a mixture over places, as a sum over all tokens is
FAR = 2.0**19

Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}


class Places(Tensor):
    """Complex tensor in the shape of the numbers it stands for: row + column j, in input pixels; or one of the
    constants above.

    Numbers at the same place share memory (stride 0) wherever possible, so that a pass over coordinates costs little.
    """

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not args and isinstance(kwargs.get("input"), Tensor):
            kwargs = dict(kwargs)
            args = (kwargs.pop("input"),)
        with torch._C.DisableTorchFunctionSubclass():
            try:
                return RULES.get(func, without_rule)(func, *args, **kwargs)
            except VitvizError:
                raise
            except Exception as error:
                _refuse_own_error(func, args, kwargs, error)
                raise


def _refuse_own_error(func: Any, args: Any, kwargs: Any, error: Exception) -> None:
    """Raises CaptureError where a rule failed though torch takes these arguments: then the error is the rule's, and not that
    of a model that is given a size it does not take."""
    try:
        shape_given(func, args, kwargs)
    except Exception:
        return
    name = getattr(func, "__qualname__", None) or repr(func)
    raise CaptureError(
        f"Which token is which patch cannot be followed through {name}: its rule failed ({type(error).__name__}: {error})."
    ) from error


def picture(height: int, width: int, batch: int = 1, channels: int = RGB) -> Places:
    """(batch, channels, height, width): the input, each pixel at its own centre."""
    rows, cols = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    return as_places(torch.complex(*torch.meshgrid(rows, cols, indexing="ij")).expand(batch, channels, height, width))


def run_on_places(module: nn.Module, input_size: tuple[int, int]) -> Any:
    """`module`'s output for a picture of (height, width) whose pixels are their own places. The module is on the meta
    device.
    """
    with torch.inference_mode(), evaluating(module):
        return module(picture(*input_size, channels=input_channels(module)))


def without_numbers(module: nn.Module, own_precision: bool = False) -> nn.Module:
    """A copy of `module` on the meta device: the same structure, no weights copied, and nothing shared that a pass
    could change. Hold the model's lock while it is made; passes of the copy need none.

    Args:
        own_precision: tensors keep their type; otherwise floating ones are in single precision, as places claim to be.
    """
    tensors = {id(t): t for t in (*module.parameters(), *module.buffers())}
    memo: dict[int, Any] = {}
    for key, tensor in tensors.items():
        empty = tensor.detach().to("meta") if own_precision else empty_shell(tensor)
        memo[key] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    bare = copy.deepcopy(module, memo)
    for part in bare.modules():
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
        part.training = False  # the flag alone: no `train` method of a user's runs
    return bare


def is_place(places: Tensor) -> Tensor:
    """Whether each entry is a place in the picture: neither padding nor a learned token nor a mixture."""
    return places.real.abs() < FAR


def is_constant(places: Tensor) -> Tensor:
    return places.real <= -FAR


def is_mixture(places: Tensor) -> Tensor:
    return places.real >= FAR


def uniform(places: Tensor, dim: int) -> Tensor | None:
    """`places` without axis `dim`, or None where they differ along it."""
    if places.shape[dim] == 1 or places.stride(dim) == 0:
        return places.select(dim, 0)
    dim %= places.ndim
    numbers = torch.view_as_real(narrow_places(places)).nan_to_num(-1.0)  # (.., 2)
    first = numbers.narrow(dim, 0, 1)
    return places.select(dim, 0) if bool(((numbers - first).abs() < 1e-3).all()) else None


# What follows works on plain complex tensors: inside a rule, torch functions are torch's own again.


def as_places(places: Tensor) -> Places:
    return places.as_subclass(Places)


def alias_of(places: Tensor) -> Places:
    """The same places as a tensor of its own, so that what a function gives is not taken for what it was given."""
    return places.view_as(places).as_subclass(Places)


def has_places(value: Any) -> bool:
    return isinstance(value, Places)


def narrow_places(places: Tensor) -> Tensor:
    """The same places with every axis along which memory is shared cut down to one entry."""
    for dim in range(places.ndim):
        if places.shape[dim] > 1 and places.stride(dim) == 0:
            places = places.narrow(dim, 0, 1)
    return places


def mean_place(places: Tensor, dim: int) -> Tensor:
    """The mean place along an axis, padding left out; the axis stays, with one entry."""
    if places.shape[dim] == 1 or places.stride(dim) == 0:
        return places.narrow(dim, 0, 1)
    shape, places = list(places.shape), narrow_places(places)
    shape[dim] = 1
    return torch.view_as_complex(torch.view_as_real(places).nanmean(dim % places.ndim, keepdim=True)).expand(shape)


def by_parts(places: Tensor, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """An operation on real tensors, applied to rows and columns apart."""
    return torch.complex(operation(places.real.contiguous()), operation(places.imag.contiguous()))


def shape_given(func: Any, args: Any, kwargs: Any) -> Any:
    """What torch's function gives for tensors of these shapes, without numbers."""
    return func(*without_places(args), **{name: without_places(value) for name, value in kwargs.items()})


def without_places(value: Any) -> Any:
    if isinstance(value, Places):
        return torch.empty(value.shape, device="meta")
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return type(value)(without_places(entry) for entry in value)
    return empty_shell(value) if isinstance(value, Tensor) else value


def empty_shell(tensor: Tensor) -> Tensor:
    """The tensor's shape without its numbers; floating ones in single precision, as places claim to be."""
    return tensor.detach().to("meta", torch.float32 if tensor.is_floating_point() else tensor.dtype)


def mixture_of_all(shape: Any) -> Places:
    return as_places(torch.tensor(EVERYWHERE, dtype=torch.complex64).expand(shape))


def without_rule(func: Any, *args: Any, **kwargs: Any) -> Any:
    """A function without a rule: where it keeps the shape it worked on each number alone; otherwise its result is a
    mixture.
    """
    result = shape_given(func, args, kwargs)
    first = next((value for value in args if has_places(value)), None)
    if isinstance(result, Tensor):
        return first if first is not None and result.shape == first.shape else mixture_of_all(result.shape)
    if isinstance(result, list | tuple):
        return type(result)(mixture_of_all(r.shape) if isinstance(r, Tensor) else r for r in result)
    return result


def place_rule(*functions: Any) -> Callable[[Rule], Rule]:
    """Registers a rule for functions of torch: what they do to coordinates.

    A rule is called as rule(function, *args, **kwargs) with `Places` where the model has numbers, and gives `Places` of the
    shape that torch's function gives (`shape_given`). Inside a rule, torch's functions are torch's own.
    """

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(functions, rule))
        return rule

    return register
