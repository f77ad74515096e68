"""Downloads pretrained weights from the hub: safetensors only, with progress, timeouts and checked hashes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import (
    _CACHED_NO_EXIST,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import HfFileMetadata, repo_folder_name

from vitviz.errors import HubError, VitvizError
from vitviz.models.limits import limits
from vitviz.models.names import WEIGHTS_FILE, Source
from vitviz.models.weights import is_whole_safetensors, sha256_of
from vitviz.progress import Progress

STILL_WORKS = "The embedded model and random weights need no network."

ANSWER_SECONDS = 5.0  # timeout of the request for a file's metadata
SILENCE_SECONDS = 5.0  # time without a byte before the download is resumed
SLOWEST_BYTES_PER_SECOND = 4096.0  # a download slower than this over PATIENCE_SECONDS is aborted
PATIENCE_SECONDS = 30.0
PIECE_BYTES = 8192  # bytes between two measurements; the client's default of 10 MB would hide a slow hub for minutes
REPORT_SECONDS = 0.1  # between two calls of `progress`
RESTARTS = 3  # how often a hub may restart the file from its beginning


class NoSuchFile(HubError):
    """The repository exists, but has no file of that name."""


def fetch(source: Source, progress: Progress | None = None) -> Path:
    """The path of the repository's file in the hub's own cache, downloaded first if it is not there yet.

    HF_ENDPOINT, HF_HUB_OFFLINE, HF_HUB_CACHE and HF_HOME are read at each call. Several files may be downloaded at the same
    time. A failed download leaves nothing in the cache, and an intact file is never deleted.

    Args:
        source: The file.
        progress: Called as progress(bytes done, bytes in all), also while another thread downloads the same file; an exception
            that it raises ends the wait or the download.

    Raises:
        HubError: If the hub cannot be reached, refuses, is too slow, ends early or sends another file (NoSuchFile if the hub
            has said, now or earlier, that the repository has no file of that name).
    """
    with _one_at_a_time(source, progress) as transfer:
        return _fetched(source, progress, transfer)


def _fetched(source: Source, progress: Progress | None, transfer: _Transfer) -> Path:
    kept = cached(source)
    if _is_offline():
        if kept is None:
            raise _absent_or(
                source,
                HubError(
                    f"HF_HUB_OFFLINE is set and {source.file} of {source.repository} is not in the cache; load the model "
                    f"once with a network connection. {STILL_WORKS}"
                ),
            )
        return _checked(source, kept)
    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    try:
        found = _ask(source, endpoint)
    except HubError as error:
        if kept is None:
            raise _absent_or(source, error) from error.__cause__
        return _checked(source, kept)  # the hub cannot be reached, and the cached file is still valid
    if kept is None or kept.resolve().name != found.etag:
        limits().need_space(f"{_subject(source)} of {source.repository}", found.size or 0, _cache_dir())
    expected_hash = found.etag if re.fullmatch(r"[0-9a-f]{64}", found.etag or "") else None
    return _checked(source, _download(source, endpoint, progress, transfer), expected_hash)


def bytes_to_fetch(source: Source) -> int:
    """Bytes that `fetch` would download now; 0 if the file is in the cache, or if the hub does not report its size.

    Raises HubError if the hub does not have the file or cannot be reached.
    """
    if _is_offline() or cached(source) is not None:
        return 0
    size = _ask(source, (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")).size or 0
    limits().need_space(f"{_subject(source)} of {source.repository}", size, _cache_dir())
    return size


@dataclass
class _Transfer:
    """A file that one thread downloads, holding `lock`, while others may wait and read `done` and `total` (bytes)."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    done: int = 0
    total: int = 0
    threads: int = 0


_transfers: dict[Source, _Transfer] = {}
_TRANSFERS = threading.Lock()


@contextmanager
def _one_at_a_time(source: Source, progress: Progress | None) -> Iterator[_Transfer]:
    """Lets one thread download a file; others wait and report its progress."""
    with _TRANSFERS:
        transfer = _transfers.setdefault(source, _Transfer())
        transfer.threads += 1
    try:
        while not transfer.lock.acquire(timeout=REPORT_SECONDS):
            if progress is not None:
                progress(transfer.done, transfer.total)
        try:
            yield transfer
        finally:
            transfer.lock.release()
    finally:
        with _TRANSFERS:
            transfer.threads -= 1
            if not transfer.threads:
                del _transfers[source]


def _ask(source: Source, endpoint: str) -> HfFileMetadata:
    """The file's metadata from the hub: size, and hash if it has one.

    A short request, so that a hub that does not answer is an error within seconds; the client's download retries for minutes.
    """
    url = hf_hub_url(source.repository, source.file, revision=source.revision, endpoint=endpoint)
    try:
        found = get_hf_file_metadata(url, timeout=ANSWER_SECONDS, endpoint=endpoint, token=limits().hub_token)
    except Exception as error:  # the client's own errors, and those of its HTTP library
        if isinstance(error, RemoteEntryNotFoundError):
            _remember_absence(source, error)
        raise _in_words(source, endpoint, error) from error
    if found.etag is None or found.commit_hash is None:
        raise _in_words(source, endpoint, FileMetadataError())
    return found


def _download(source: Source, endpoint: str, progress: Progress | None, transfer: _Transfer) -> Path:
    with _client_settings():
        try:
            path = hf_hub_download(
                source.repository,
                source.file,
                revision=source.revision,
                cache_dir=_cache_dir(),
                etag_timeout=ANSWER_SECONDS,
                endpoint=endpoint,
                token=limits().hub_token,
                tqdm_class=_transfer_progress(source, progress, transfer),
            )
        except VitvizError:
            raise
        except Exception as error:  # as above; an exception of `progress` is passed on unchanged
            if getattr(error, "_from_progress", False):
                raise
            raise _in_words(source, endpoint, error) from error
    return Path(path)


def _checked(source: Source, path: Path, expected_hash: str | None = None) -> Path:
    """Returns the path if the file is complete; otherwise the file is removed from the cache.

    A file that cannot be read at the moment (too many open files, no permission, a disk error) is not removed.
    """
    try:
        if _is_whole(path, expected_hash):
            return path
    except OSError as error:
        raise _unreadable(source, error) from error
    blob = path.resolve()
    path.unlink(missing_ok=True)
    if _cache_dir().resolve() in blob.parents:
        blob.unlink(missing_ok=True)
    raise HubError(
        f"The hub did not send {_what(source)} of {source.repository}: the file is damaged or is not a "
        f"{path.suffix[1:]} file. It was deleted; try again later, or check the network's proxy. {STILL_WORKS}"
    )


def _is_whole(path: Path, expected_hash: str | None) -> bool:
    """Whether the file is complete safetensors, or JSON if its extension is .json, and has the expected hash.

    Without `expected_hash`, the sha256, it is the name of the file in the cache, which is the hash that the hub reported.
    Raises OSError if the file cannot be read.
    """
    named = expected_hash or path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", named) and sha256_of(path) != named:
        return False
    if path.suffix != ".json":
        return is_whole_safetensors(path)
    content = path.read_bytes()
    if (
        re.fullmatch(r"[0-9a-f]{40}", named)
        and hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() != named
    ):
        return False  # the cache names small files by their git hash
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True


def _unreadable(source: Source, error: OSError) -> HubError:
    return HubError(
        f"The cache of {source.file} of {source.repository} cannot be read at the moment "
        f"({error.strerror or type(error).__name__}). Nothing was deleted; try again. {STILL_WORKS}"
    )


def _absent_or(source: Source, error: HubError) -> HubError:
    """`error`, or NoSuchFile if the hub has said earlier that the repository has no such file."""
    if isinstance(error, NoSuchFile):
        return error
    if _looked_up(source) is not _CACHED_NO_EXIST:
        return error
    return NoSuchFile(f"{source.repository} has no {source.file}, as the hub said earlier. {STILL_WORKS}")


def _remember_absence(source: Source, error: RemoteEntryNotFoundError) -> None:
    """Records in the hub's cache, as its client does, that this revision of the repository has no such file."""
    commit = error.response.headers.get(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT) if error.response else None
    if commit and re.fullmatch(r"[0-9a-f]{40}", commit):
        note = _cache_dir() / repo_folder_name(repo_id=source.repository, repo_type="model") / ".no_exist" / commit
        with suppress(OSError):
            note.mkdir(parents=True, exist_ok=True)
            (note / source.file).touch()


def _what(source: Source) -> str:
    return "the weights" if source.file == WEIGHTS_FILE else source.file


def _subject(source: Source) -> str:
    return "The file of weights" if source.file == WEIGHTS_FILE else f"The file {source.file}"


def _in_words(source: Source, endpoint: str, error: Exception) -> HubError:
    host = urlsplit(endpoint).netloc or endpoint
    asked = f"{source.file} of {source.repository} was asked for at {host}"
    status = error.response.status_code if isinstance(error, HfHubHTTPError) and error.response is not None else None
    if isinstance(error, GatedRepoError) or status in (401, 403):
        how = "set HF_TOKEN" if limits().token else "this server uses no account for requests of its visitors"
        what = f"the hub requires an account with access to it ({how}) or does not know the repository"
    elif isinstance(error, RemoteEntryNotFoundError):
        what = "the repository has no such file"
        if source.file == WEIGHTS_FILE:
            what += ", and other formats are not read because opening them may run code"
        return NoSuchFile(f"{asked}: {what}. {STILL_WORKS}")
    elif isinstance(error, RepositoryNotFoundError | RevisionNotFoundError) or status == 404:
        what = "the hub does not have it"
    elif isinstance(error, FileMetadataError):
        what = "the answer was not that of a model hub; check HF_ENDPOINT and the network's proxy"
    elif status is not None:
        what = f"the hub answered with the error {status}"
    elif "Consistency check" in str(error):
        what = "the received file has the wrong size"
    elif (
        isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError | TimeoutError)
    ):
        what = f"the download could not be stored ({error.strerror})"
    elif "imeout" in type(error).__name__:
        what = "the hub did not answer in time"
    else:
        what = "the hub is out of reach or the connection broke"
    return HubError(f"{asked}: {what}. {STILL_WORKS}")


_settings_before: dict[str, Any] = {}
_settings_used_by = 0
_SETTINGS = threading.Lock()


@contextmanager
def _client_settings() -> Iterator[None]:
    """Makes the client use plain HTTP, for progress and timeouts, and shorter timeouts unless HF_HUB_DOWNLOAD_TIMEOUT is set.

    The client's settings are global: the first of several simultaneous downloads changes them, the last restores them.
    """
    global _settings_used_by
    with _SETTINGS:
        if not _settings_used_by:
            ours: dict[str, Any] = {"HF_HUB_DISABLE_XET": True, "DOWNLOAD_CHUNK_SIZE": PIECE_BYTES}
            if not os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT"):
                ours["HF_HUB_DOWNLOAD_TIMEOUT"] = SILENCE_SECONDS
            for name, value in ours.items():
                _settings_before[name] = getattr(constants, name)
                setattr(constants, name, value)
        _settings_used_by += 1
    try:
        yield
    finally:
        with _SETTINGS:
            _settings_used_by -= 1
            if not _settings_used_by:
                for name, value in _settings_before.items():
                    setattr(constants, name, value)
                _settings_before.clear()


def _transfer_progress(source: Source, progress: Progress | None, transfer: _Transfer) -> type:
    """A class in place of the client's progress bar that aborts a download that is too slow, stalls or exceeds the limits."""
    bounds = limits()

    class TransferProgress:
        def __init__(self, *_args: Any, total: int | None = None, initial: int = 0, **_kwargs: Any) -> None:
            self.done, self.total, self.restarts = initial, total or 0, 0
            self.since, self.done_since, self.reported = time.monotonic(), initial, 0.0

        def update(self, count: int = 1) -> None:
            self.done += count
            transfer.done, transfer.total = self.done, self.total
            bounds.need_file(f"{_subject(source)} of {source.repository}", self.done)
            now = time.monotonic()
            if count < 0:
                self.restarts += 1
            if self.restarts > RESTARTS:
                raise HubError(f"The hub cut off {_what(source)} of {source.repository} repeatedly. {STILL_WORKS}")
            elapsed = now - self.since
            if count < 0:
                self.since, self.done_since = now, self.done
            elif elapsed > PATIENCE_SECONDS:
                if self.done - self.done_since < SLOWEST_BYTES_PER_SECOND * elapsed:
                    raise HubError(
                        f"The hub sends {_what(source)} of {source.repository} too slowly to wait for. {STILL_WORKS}"
                    )
                self.since, self.done_since = now, self.done
            if progress is not None and (now - self.reported > REPORT_SECONDS or self.done == self.total):
                self.reported = now
                self._report(progress)

        def _report(self, progress: Progress) -> None:
            try:
                progress(self.done, self.total)
            except Exception as error:
                error._from_progress = True  # type: ignore[attr-defined]
                raise

        def __enter__(self) -> TransferProgress:
            return self

        def __exit__(self, *_exc: object) -> None: ...

        def close(self) -> None: ...

    return TransferProgress


def cached(source: Source) -> Path | None:
    """The path of the file in the hub's cache, or None; makes no request."""
    found = _looked_up(source)
    return Path(found) if isinstance(found, str) else None


def _looked_up(source: Source) -> Any:
    """The entry of the hub's cache: the file's path, a mark that the repository has no such file, or None."""
    try:
        return try_to_load_from_cache(source.repository, source.file, cache_dir=_cache_dir(), revision=source.revision)
    except OSError as error:
        raise _unreadable(source, error) from error


def _cache_dir() -> Path:
    if os.environ.get("HF_HUB_CACHE"):
        return Path(os.environ["HF_HUB_CACHE"])
    if os.environ.get("HF_HOME"):
        return Path(os.environ["HF_HOME"]) / "hub"
    return Path(constants.HF_HUB_CACHE)


def _is_offline() -> bool:
    return bool(constants.HF_HUB_OFFLINE) or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
