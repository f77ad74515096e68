"""`Places`: a tensor subclass that holds, for every number of a forward pass, the point of the picture that it belongs to.

An attention call does not show which token is which patch: models cut feature maps into windows, roll, pad, pool and fold them
before. So the model's own forward pass is run once on coordinates in place of numbers. A function that moves numbers moves
coordinates in the same way, one that computes on each token (a projection, a norm, an activation) keeps them, and the output of
a convolution is placed at the centre of its kernel. No list of architectures is needed, and unknown shifts or partitions
are followed as well.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.modules import RGB, eval_mode, input_channels
from vitviz.errors import CaptureError, VitvizError

NOWHERE = complex(float("nan"), float("nan"))  # padding
CONSTANT = complex(-(2.0**20), 0.0)  # a learned token, without a place in the picture
EVERYWHERE = complex(2.0**20, 0.0)  # a mixture of places, such as a sum over all tokens
FAR = 2.0**19

Rule = Callable[..., Any]
RULES: dict[Any, Rule] = {}


class Places(Tensor):
    """Complex tensor of the same shape as the numbers: row + column j, in input pixels, or one of the constants above.

    Numbers at the same place share memory (stride 0) if possible, so that the pass takes little time and memory.
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
    """Raises CaptureError if a rule failed although torch accepts these arguments.

    The error then is the rule's, and not that of a model for a size that it does not accept.
    """
    try:
        shape_given(func, args, kwargs)
    except Exception:
        return
    name = getattr(func, "__qualname__", None) or repr(func)
    raise CaptureError(
        f"Which token is which patch cannot be followed through {name}: its rule failed ({type(error).__name__}: {error})."
    ) from error


def picture(height: int, width: int, batch: int = 1, channels: int = RGB) -> Places:
    """The model input (batch, channels, height, width), each pixel at its own centre."""
    rows, cols = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    return as_places(torch.complex(*torch.meshgrid(rows, cols, indexing="ij")).expand(batch, channels, height, width))


def run_on_places(module: nn.Module, input_size: tuple[int, int]) -> Any:
    """The output of `module`, a copy on the meta device, for a picture of (height, width) made of places."""
    with torch.inference_mode(), eval_mode(module):
        return module(picture(*input_size, channels=input_channels(module)))


def without_numbers(module: nn.Module, own_precision: bool = False) -> nn.Module:
    """A copy of `module` on the meta device, without weights and without shared state.

    Hold the model's lock while it is made; passes of the copy need no lock.

    Args:
        module: The module to copy.
        own_precision: Keep the type of floating-point tensors; otherwise they become float32, the type that `Places` report.
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
        part.training = False  # sets the flag only: a `train` method of a user's class is not called
    return bare


def is_place(places: Tensor) -> Tensor:
    """Whether each entry is a point of the picture: not padding, a learned token or a mixture."""
    return places.real.abs() < FAR


def is_constant(places: Tensor) -> Tensor:
    return places.real <= -FAR


def is_mixture(places: Tensor) -> Tensor:
    return places.real >= FAR


def uniform(places: Tensor, dim: int) -> Tensor | None:
    """`places` without axis `dim`, or None if they differ along it."""
    if places.shape[dim] == 1 or places.stride(dim) == 0:
        return places.select(dim, 0)
    dim %= places.ndim
    numbers = torch.view_as_real(narrow_places(places)).nan_to_num(-1.0)  # (.., 2)
    first = numbers.narrow(dim, 0, 1)
    return places.select(dim, 0) if bool(((numbers - first).abs() < 1e-3).all()) else None


# The functions below work on plain complex tensors: inside a rule, torch functions do not dispatch to rules.


def as_places(places: Tensor) -> Places:
    return places.as_subclass(Places)


def alias_of(places: Tensor) -> Places:
    """The same places as another tensor object, so that a function's result is not identified with its argument."""
    return places.view_as(places).as_subclass(Places)


def has_places(value: Any) -> bool:
    return isinstance(value, Places)


def narrow_places(places: Tensor) -> Tensor:
    """The same places with size 1 in every axis of shared memory."""
    for dim in range(places.ndim):
        if places.shape[dim] > 1 and places.stride(dim) == 0:
            places = places.narrow(dim, 0, 1)
    return places


def mean_place(places: Tensor, dim: int) -> Tensor:
    """The mean place along an axis, without padding; the axis keeps size 1."""
    if places.shape[dim] == 1 or places.stride(dim) == 0:
        return places.narrow(dim, 0, 1)
    shape, places = list(places.shape), narrow_places(places)
    shape[dim] = 1
    return torch.view_as_complex(torch.view_as_real(places).nanmean(dim % places.ndim, keepdim=True)).expand(shape)


def by_parts(places: Tensor, operation: Callable[[Tensor], Tensor]) -> Tensor:
    """Applies an operation on real tensors to the rows and to the columns."""
    return torch.complex(operation(places.real.contiguous()), operation(places.imag.contiguous()))


def shape_given(func: Any, args: Any, kwargs: Any) -> Any:
    """The result of torch's function for meta tensors of these shapes."""
    return func(*without_places(args), **{name: without_places(value) for name, value in kwargs.items()})


def without_places(value: Any) -> Any:
    if isinstance(value, Places):
        return torch.empty(value.shape, device="meta")
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return type(value)(without_places(entry) for entry in value)
    return empty_shell(value) if isinstance(value, Tensor) else value


def empty_shell(tensor: Tensor) -> Tensor:
    """A meta tensor of the same shape; float32 if floating-point, the type that `Places` report."""
    return tensor.detach().to("meta", torch.float32 if tensor.is_floating_point() else tensor.dtype)


def mixture_of_all(shape: Any) -> Places:
    return as_places(torch.tensor(EVERYWHERE, dtype=torch.complex64).expand(shape))


def without_rule(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Default for functions without a rule: if the shape is kept, so are the places; otherwise the result is a mixture."""
    result = shape_given(func, args, kwargs)
    first = next((value for value in args if has_places(value)), None)
    if isinstance(result, Tensor):
        return first if first is not None and result.shape == first.shape else mixture_of_all(result.shape)
    if isinstance(result, list | tuple):
        return type(result)(mixture_of_all(r.shape) if isinstance(r, Tensor) else r for r in result)
    return result


def place_rule(*functions: Any) -> Callable[[Rule], Rule]:
    """Registers a rule for functions of torch: how they transform places.

    A rule is called as rule(function, *args, **kwargs) with `Places` in place of the model's tensors, and returns `Places` of
    the shape of torch's result (`shape_given`). Inside a rule, torch functions do not dispatch to rules.

    Args:
        *functions: The functions that the rule is for.
    """

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(functions, rule))
        return rule

    return register
