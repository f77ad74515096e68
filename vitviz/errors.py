"""Exceptions whose messages a user can act on.

A message says what was asked, what was found and what to try. The app and the command line show it unchanged, so it is one
or two sentences, without paths of the server and without a traceback.
"""

import operator
from importlib.util import find_spec

# What models of timm raise for an input that they do not accept; the types differ, and the messages do not help a user.
INPUT_ERRORS = (RuntimeError, AssertionError, ValueError, IndexError, TypeError, NotImplementedError)


class VitvizError(Exception):
    """Base class of the errors that vitviz raises for a reason that a user can act on."""


class ImageError(VitvizError):
    """The bytes are not an image that can be shown: damaged, too large, or of another format."""


class ModelError(VitvizError):
    """A model cannot be found or built, or its weights cannot be loaded."""


class HubError(ModelError):
    """The hub cannot be reached, is too slow, or sent other data than the requested weights."""


class CaptureError(VitvizError):
    """A forward pass ran, but its attention was not recognised."""


class UnsupportedError(VitvizError):
    """The request is not defined for this model; the message says why and what can be requested instead."""


class MissingPackageError(VitvizError):
    """An optional package is not installed; the message names the extra that installs it."""


class Cancelled(VitvizError):
    """The computation was cancelled."""


class IncompleteWarning(UserWarning):
    """An approximated result misses its stated tolerance."""


class DrawError(VitvizError):
    """Arrays cannot be drawn: not finite, of the wrong shape, or outside the grid."""


class NotFiniteError(VitvizError):
    """Weights or outputs of a model are not finite: NaN or infinite."""


def checked_index(index: int, size: int, kind: str) -> int:
    """Returns `index` after checking it.

    Args:
        index: Counted from 0.
        size: How many there are.
        kind: What they are, for the message: "layer".

    Raises:
        IndexError: For an index outside 0 to size - 1; negative ones are not accepted.
    """
    index = operator.index(index)
    if not 0 <= index < size:
        raise IndexError(f"{kind} {index} does not exist: there are {size}, counted from 0")
    return index


def need_package(package: str, extra: str, wanted: str) -> None:
    """Checks that an optional package is installed, without importing it.

    Args:
        package: Import name, such as "captum".
        extra: Extra of vitviz that installs it.
        wanted: What needs it, as the subject of the message: "Grad-CAM".

    Raises:
        MissingPackageError: With the command that installs it.
    """
    if find_spec(package) is None:
        raise MissingPackageError(
            f'{wanted} needs {package}, which is not installed. Install it with: pip install "vitviz[{extra}]"'
        )
