"""A stand-in for the Hugging Face hub on the loopback interface: real HTTP, published file layout.

It serves dataset repositories from memory at one revision, with the few routes that `datasets` and
`huggingface_hub` ask for, so that tests run the real client code.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

Repositories = dict[str, dict[str, bytes]]
"""Repository id -> path -> content."""


@contextmanager
def serve(repositories: Repositories, revision: str) -> Iterator[str]:
    """Serve `repositories` at `revision`; yield the endpoint's URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            path = unquote(urlsplit(self.path).path)
            for repository, files in repositories.items():
                if path.startswith(f"/datasets/{repository}/resolve/{revision}/"):
                    self._file(files, path.split(f"/resolve/{revision}/")[1])
                    return
                if path.startswith(f"/api/datasets/{repository}"):
                    rest = path.removeprefix(f"/api/datasets/{repository}").strip("/")
                    self._api(repository, files, rest, body)
                    return
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def _file(self, files: dict[str, bytes], name: str) -> None:
            if name in files:
                tag = hashlib.sha1(files[name]).hexdigest()
                self._send(200, files[name], {"X-Repo-Commit": revision, "ETag": f'"{tag}"'})
            else:
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})

        def _api(self, repository: str, files: dict[str, bytes], rest: str, body: str) -> None:
            entries: list[dict[str, object]] = []
            for name, data in sorted(files.items()):
                digest = hashlib.sha1(data).hexdigest()
                entries.append({"type": "file", "path": name, "size": len(data), "oid": digest})
            folders = sorted({name.rpartition("/")[0] for name in files} - {""})
            entries += [{"type": "directory", "path": name, "oid": "0" * 40} for name in folders]
            if rest in ("", f"revision/{revision}"):
                siblings = [{"rfilename": name} for name in sorted(files)]
                value: object = {
                    "id": repository, "sha": revision, "siblings": siblings, "private": False,
                    "tags": [], "downloads": 0,
                }  # fmt: skip
            elif rest.startswith(f"tree/{revision}"):
                folder = rest.removeprefix(f"tree/{revision}").strip("/")
                query = parse_qs(urlsplit(self.path).query)
                deep = query.get("recursive", ["false"])[0].lower() == "true"
                value = [entry for entry in entries if _below(str(entry["path"]), folder, deep)]
                if folder and not value:
                    self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
                    return
            elif rest == f"paths-info/{revision}":
                wanted = parse_qs(body).get("paths") or json.loads(body or "{}").get("paths", [])
                value = [entry for entry in entries if entry["path"] in wanted]
            else:
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _below(path: str, folder: str, deep: bool) -> bool:
    if folder and not path.startswith(f"{folder}/"):
        return False
    rest = path.removeprefix(f"{folder}/") if folder else path
    return deep or "/" not in rest
