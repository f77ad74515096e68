"""What can go wrong, in words a user can act on.

Every message says what was asked, what was found and what to try. The app and the command line show the message as it
is, so it is one or two plain sentences, with no path of the server and no traceback.
"""

import operator
from importlib.util import find_spec

# What models' own code raises for an input that they do not take: each its own, and none of it for a user.
NOT_TAKEN = (RuntimeError, AssertionError, ValueError, IndexError, TypeError, NotImplementedError)


class VitvizError(Exception):
    """Anything vitviz refuses or fails to do for a reason a user can act on."""


class ImageError(VitvizError):
    """The bytes given are not an image that can be shown: damaged, too large, or something else altogether."""


class ModelError(VitvizError):
    """A model cannot be found, built or given its weights."""


class HubError(ModelError):
    """The weights' hub is out of reach, slow, or sent something else than the weights asked for."""


class CaptureError(VitvizError):
    """A forward pass ran, but its attention could not be seen or understood."""


class UnsupportedError(VitvizError):
    """The question has no answer for this model; the message says why and what can be asked instead."""


class MissingPackageError(VitvizError):
    """A package is not installed that only some of vitviz needs; the message says which extra brings it."""


class Cancelled(VitvizError):
    """The work was called off before it was finished."""


class IncompleteWarning(UserWarning):
    """A result that was approximated is further from exact than its stated tolerance."""


class DrawError(VitvizError):
    """Arrays that cannot be drawn as asked: not finite, of the wrong shape, or outside the grid."""


class NotFiniteError(VitvizError):
    """Weights or outputs of a model hold values that are not finite: not-a-number, or infinite."""


def existing(index: int, size: int, kind: str) -> int:
    """`index` where there are `size` of a `kind`, counted from 0.

    Raises:
        IndexError: Also for a negative index.
    """
    index = operator.index(index)
    if not 0 <= index < size:
        raise IndexError(f"{kind} {index} does not exist: there are {size}, counted from 0")
    return index


def need_package(package: str, extra: str, wanted: str) -> None:
    """Checks that an optional package is installed, without importing it.

    Args:
        package: Name that is imported, such as "captum".
        extra: Extra of vitviz that installs it.
        wanted: What it is needed for, as the beginning of a sentence: "Grad-CAM".

    Raises:
        MissingPackageError: With the command that installs it.
    """
    if find_spec(package) is None:
        raise MissingPackageError(
            f'{wanted} needs {package}, which is not installed. Install it with: pip install "vitviz[{extra}]"'
        )
