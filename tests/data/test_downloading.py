"""Downloads from a server on the loopback that does what servers do."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clbench import data
from clbench.data import downloading
from clbench.data.archives import Archive
from clbench.errors import InputError
from tests.data import field_files as files

CONTENT = bytes(range(256)) * 40


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind = self.path.strip("/")
        if kind == "forbidden":
            return self.send_error(403)
        if kind in ("moved", "elsewhere"):
            self.send_response(302)
            self.send_header("Location", "/whole" if kind == "moved" else "ftp://127.0.0.1:1/x")
            return self.end_headers()
        self.send_response(200)
        length = {"short": len(CONTENT) + 999, "long": 10, "endless": None}.get(kind, len(CONTENT))
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        body = b"<html>please log in</html>".ljust(len(CONTENT)) if kind == "page" else CONTENT
        try:
            for _ in range(400 if kind == "endless" else 1):
                self.wfile.write(body)
        except OSError:
            pass  # who asked has had enough
        return None

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    thread.join()
    made.server_close()


def archive(url: str) -> Archive:
    return Archive("file.bin", url, hashlib.md5(CONTENT).hexdigest(), len(CONTENT))


@pytest.mark.parametrize("kind", ["whole", "moved"])
def test_a_whole_file_arrives(kind: str, server: str, tmp_path: Path) -> None:
    downloading.fetch("cifar10", [archive(f"{server}/{kind}")], tmp_path / "a" / "b", True)
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["file.bin"]
    assert (tmp_path / "a" / "b" / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("forbidden", "403"),
        ("short", "expected 11,239 bytes, as announced, found 10,240"),
        ("long", "expected MD5 .*, found .* of 10 bytes"),
        ("page", "expected MD5 .*, found .* of 10,240 bytes"),
        ("endless", "expected about 10,240 bytes, found more and more"),
        ("elsewhere", "expected http or https, found a redirect to ftp"),
    ],
)
def test_anything_else_is_one_line_and_leaves_nothing(
    kind: str, message: str, server: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        downloading.fetch("cifar10", [archive(f"{server}/{kind}")], tmp_path, False)
    text = str(caught.value)
    assert text.startswith(f"cifar10: cannot download {server}/{kind} (") and "\n" not in text
    assert f"put file.bin into {tmp_path}" in text
    assert not list(tmp_path.iterdir())


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot download http://127.0.0.1:9/x .*refused"):
        downloading.fetch("cifar10", [archive("http://127.0.0.1:9/x")], tmp_path, False)


def test_a_failed_download_keeps_what_was_there(server: str, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"older")
    with pytest.raises(InputError):
        downloading.fetch("x", [archive(f"{server}/short")], tmp_path, False)
    assert (tmp_path / "file.bin").read_bytes() == b"older"
    downloading.fetch("x", [archive(f"{server}/whole")], tmp_path, False)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_what_is_whole_is_not_asked_for_again(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    downloading.fetch("x", [archive("http://127.0.0.1:9/x")], tmp_path, False)


def test_a_root_that_cannot_be_written(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"^x: cannot write .*--data-root or CLBENCH_DATA"):
        downloading.fetch("x", [archive(f"{server}/whole")], tmp_path / "file", False)


@pytest.mark.parametrize("name", ["cifar100", "svhn", "emnist", "bloodmnist", "tiny_imagenet"])
def test_without_network_every_set_says_what_to_put_where(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        data.load(name, tmp_path, progress=False)
    text = str(caught.value)
    assert text.startswith(f"{name}: cannot download http") and "\n" not in text
    assert "split_mnist5k" in text
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]
    check = data.verify(name, tmp_path)[0]
    assert not check.ok and f"clbench data fetch {name}" in check.message


def test_a_fetched_set_can_be_read(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files.cifar(tmp_path / "theirs")
    monkeypatch.setattr(f"{__name__}.CONTENT", path.read_bytes())
    entry = files.tiny(monkeypatch, "cifar10", (100, 20), path)
    given = entry.reader.given  # type: ignore[union-attr]
    changed = (given[0][0]._replace(url=f"{server}/moved"),)
    monkeypatch.setattr(entry.reader, "given", (changed, *given[1:]))
    data.fetch("cifar10", tmp_path / "ours", progress=False)
    assert data.status("cifar10", tmp_path / "ours") == "archives only"
    assert len(data.load("cifar10", tmp_path / "ours").train) == 100
