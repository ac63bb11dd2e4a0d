"""One file from the web: whole and with the right checksum, or not there at all."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from clbench.data.archives import ALTERNATIVE, Archive
from clbench.errors import InputError
from clbench.store.files import replacing

_TIMEOUT_SECONDS = 20.0
_BLOCK_BYTES = 2**20


def fetch(data_set: str, archives: Sequence[Archive], folder: Path, progress: bool) -> None:
    """Download archives into a folder, each by a rename once its checksum is right.

    Args:
        data_set: its name, for messages.
        archives: what is to be there afterwards; one that is there and whole is kept.
        folder: made if need be.
        progress: show a bar on the standard error stream.

    Raises:
        InputError: no network, an answer that is not the file, or the place cannot be written.
    """
    from clbench.data.digests import digest_of

    for archive in archives:
        path = folder / archive.name
        if path.is_file() and digest_of(path, "md5") == archive.md5:
            continue
        try:
            with replacing(path) as file:
                _download(archive, file, progress)
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            raise InputError(
                f"{data_set}: cannot write {error.filename}; choose another place with "
                f"--data-root or CLBENCH_DATA, {ALTERNATIVE}"
            ) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"{data_set}: cannot download {archive.url} ({reason}); put {archive.name} into "
                f"{folder}, {ALTERNATIVE}"
            ) from None


class _OnTheWeb(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https alone; urllib would follow those to FTP, too."""

    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        """Refuse another scheme."""
        scheme = urlsplit(args[-1]).scheme
        if scheme not in ("http", "https"):
            raise OSError(f"expected http or https, found a redirect to {scheme}")
        return super().redirect_request(*args)


def _download(archive: Archive, out: IO[bytes], progress: bool) -> None:
    """Write what the server sends.

    Raises:
        OSError: the network, the disk, or an answer that is not the file.
    """
    request = urllib.request.Request(archive.url, headers={"User-Agent": "clbench"})
    with urllib.request.build_opener(_OnTheWeb).open(request, timeout=_TIMEOUT_SECONDS) as answer:
        length = answer.headers.get("Content-Length")
        announced = int(length) if length and length.isdigit() else None
        found, digest = 0, hashlib.md5(usedforsecurity=False)
        for block in _shown(_blocks(answer), archive, announced, progress):
            found += len(block)
            if found > 2 * archive.num_bytes:
                raise OSError(f"expected about {archive.num_bytes:,} bytes, found more and more")
            digest.update(block)
            out.write(block)
    if announced is not None and found != announced:
        raise OSError(f"expected {announced:,} bytes, as announced, found {found:,}")
    if digest.hexdigest() != archive.md5:
        raise OSError(f"expected MD5 {archive.md5}, found {digest.hexdigest()} of {found:,} bytes")


def _blocks(answer: IO[bytes]) -> Any:
    return iter(lambda: answer.read(_BLOCK_BYTES), b"")


def _shown(blocks: Any, archive: Archive, announced: int | None, progress: bool) -> Any:
    """Pass the blocks on, and show how far they have come."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, TransferSpeedColumn(), console=console, transient=True,
        disable=not progress or not console.is_terminal,
    ) as bar:  # fmt: skip
        task = bar.add_task(archive.name, total=announced or archive.num_bytes)
        for block in blocks:
            yield block
            bar.advance(task, len(block))
