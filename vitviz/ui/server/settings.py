"""What the operator of a server may set, by environment variables that begin with VITVIZ_, or by Streamlit's secrets.

Each field of `ServerSettings` is the variable of its name, `public` being VITVIZ_PUBLIC. Streamlit's own options (address,
port, base path, size of an upload) stand in `.streamlit/config.toml` and in variables that begin with STREAMLIT_.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from vitviz.errors import VitvizError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}
LEAST_CODE = 6
PREFIX = "VITVIZ_"


class SettingsError(VitvizError):
    """A setting that cannot be followed. The server does not start then: it would have less protection than intended."""


def _flag(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError("1 or 0")


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if found is None:
        raise ValueError("a size such as 500MB or 4GB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("a whole number")
    return int(text)


def _count(text: str) -> int:
    if not _number(text):
        raise ValueError("a whole number of at least 1")
    return _number(text)


def _share(text: str) -> float:
    if not re.fullmatch(r"0?\.\d*[1-9]\d*|1(\.0*)?", text, re.ASCII):
        raise ValueError("a number such as 0.5, above 0 and at most 1")
    return float(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in re.split(r"[\s,]+", text) if name)


def _code(text: str) -> str:
    if text and len(text) < LEAST_CODE:
        raise ValueError(f"at least {LEAST_CODE} characters")
    return text


def _logs(text: str) -> str:
    if text not in ("text", "json"):
        raise ValueError("text or json")
    return text


def _place(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("a port such as 9090, or an address and a port such as 0.0.0.0:9090")
    return host.strip("[]") or "127.0.0.1", int(port)


def _setting(read: Callable[[str], Any], default: str) -> Any:
    return field(default_factory=lambda: read(default), metadata={"read": read, "default": default})


@dataclass(frozen=True)
class ServerSettings:
    """What the operator has set.

    public           whether the address is open to everybody: then only models on the allow list can be loaded
    models           the allow list: names, also with * and ?, such as "vit_*", "hf:facebook/*", "file:*"; empty for all models,
                     and on a public server for the curated and those of the operator's folder; the embedded model always is
    max_download     bytes of one file from the hub
    max_models_disk  bytes of all files from the hub; nothing is downloaded beyond
    hub_token        whether the operator's account at the hub is used for what visitors ask for
    pages_off        names of pages that are switched off, as in their addresses
    max_size         pixels; the side of the largest input of a model
    upload_quota     bytes that one tab may upload within an hour
    max_connections  browsers connected at once
    address_share    of them, and of the uploads that are read at once, that one address may have; 1 for all
    allowed_hosts    names by which the server may be addressed, with "*." for all below and "*" for any; loopback, addresses in
                     numbers and the machine's own name are always allowed
    frame_ancestors  pages of other servers that may show the app inside them, as in a Content-Security-Policy
    class_code       a word that everybody has to give before the first page; empty for none
    sign_in          whether everybody has to sign in by OpenID Connect, as `[auth]` of Streamlit's secrets says
    logs             "text", or "json" for one object a line
    prepare          whether heavy answers about the gallery's photographs are computed while no session has heavy work
    ray_address      address of a Ray cluster whose actors do the heavy work; empty for threads of this server
    ray_workers      how many actors
    metrics          address and port of the metrics for Prometheus; None for none
    """

    public: bool = _setting(_flag, "0")
    models: tuple[str, ...] = _setting(_names, "")
    max_download: int = _setting(_bytes, "4GB")
    max_models_disk: int = _setting(_bytes, "40GB")
    hub_token: bool = _setting(_flag, "0")
    pages_off: tuple[str, ...] = _setting(_names, "")
    max_size: int = _setting(_number, "2368")
    upload_quota: int = _setting(_bytes, "300MB")
    max_connections: int = _setting(_count, "300")
    address_share: float = _setting(_share, "0.5")
    allowed_hosts: tuple[str, ...] = _setting(_names, "")
    frame_ancestors: tuple[str, ...] = _setting(_names, "")
    class_code: str = _setting(_code, "")
    sign_in: bool = _setting(_flag, "0")
    logs: str = _setting(_logs, "text")
    prepare: bool = _setting(_flag, "0")
    ray_address: str = _setting(str, "")
    ray_workers: int = _setting(_count, "2")
    metrics: tuple[str, int] | None = _setting(_place, "")

    @property
    def any_model(self) -> bool:
        """Whether models beyond those that come with vitviz or lie in the operator's folder may be loaded."""
        return bool(self.models) or not self.public

    def may_load(self, model: str, curated: Callable[[], frozenset[str]]) -> bool:
        """Whether a model of that name may be loaded.

        Args:
            curated: Gives the names that come with vitviz.
        """
        if model == "embedded":
            return True
        if self.models:
            return any(fnmatchcase(model, pattern) for pattern in self.models)
        return not self.public or model.startswith("file:") or model in curated()


def variable(name: str) -> str:
    """The environment variable of a field of `ServerSettings`."""
    return f"{PREFIX}{name.upper()}"


def url_prefix(base_path: str) -> str:
    """Streamlit's base path in front of an address: "" or "/lab"."""
    base = base_path.strip("/")
    return f"/{base}" if base else ""


def read_settings(environment: Mapping[str, str]) -> ServerSettings:
    """The settings in an environment. Raises SettingsError for a value that cannot be understood."""
    given: dict[str, Any] = {}
    for each in fields(ServerSettings):
        text = environment.get(variable(each.name))
        if text is None:
            continue
        try:
            given[each.name] = each.metadata["read"](text.strip())
        except ValueError as error:
            shown = "it" if each.name == "class_code" else repr(text[:80])
            raise SettingsError(f"{variable(each.name)} has to be {error}; {shown} is not.") from None
    return ServerSettings(**given)


@cache
def settings() -> ServerSettings:
    """The settings of this server, read once."""
    return read_settings(os.environ)
