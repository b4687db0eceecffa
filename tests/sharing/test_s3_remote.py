"""The doctor's look at the S3 remote, against a real server; what DVC says of the same faults."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ouroboros.errors import UserError
from ouroboros.sharing import s3_remote
from ouroboros.sharing.s3_remote import ANSWER_SECONDS, describe_remote
from ouroboros.sharing.s3_server import BUCKET, HOST, S3Server
from tests.sharing.cheap_pipeline import isolated, set_remote
from tests.support.projects import Project


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = isolated(Project(tmp_path_factory.mktemp("template") / "project"))
    made.folder.mkdir()
    made.run("git", "init", "-q")
    made.run("dvc", "init", "-q")
    (made.folder / "data.txt").write_text("data")
    made.run("dvc", "add", "-q", "data.txt")
    return made.folder


@pytest.fixture
def empty(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one small file, in which this process stands, as `ouroboros doctor` would."""
    made = isolated(Project(tmp_path / "project"))
    shutil.copytree(template, made.folder, symlinks=True)
    monkeypatch.chdir(made.folder)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, text in made.environment.items():
        if name.startswith(("AWS_", "DVC_")):
            monkeypatch.setenv(name, text)
    return made


def settings(server: S3Server, **changes: str | None) -> dict[str, str]:
    right: dict[str, str | None] = {
        "url": f"s3://{BUCKET}/some/folder",
        "endpointurl": server.endpoint,
        "access_key_id": server.key.access_key_id,
        "secret_access_key": server.key.secret_access_key,
    }
    return {name: text for name, text in (right | changes).items() if text is not None}


def test_a_project_without_a_remote_is_well(empty: Project) -> None:
    assert describe_remote() == "none configured (to share runs: docs/sharing.md)"
    empty.run("dvc", "remote", "add", "-d", "elsewhere", str(empty.folder.parent / "store"))
    assert describe_remote().startswith("none configured")


def test_a_folder_without_a_project_is_well(
    tmp_path: Path, empty: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert describe_remote().startswith("none configured")


def test_a_remote_that_works(server: S3Server, empty: Project) -> None:
    set_remote(empty, **settings(server))
    expected = f"storage: s3://{BUCKET}/some/folder at {server.endpoint}, reachable"
    assert describe_remote() == expected
    doctor = empty.run("ouroboros", "doctor", check=False).stdout
    assert f"ok   S3 remote                 {expected}\n" in doctor
    empty.run("dvc", "push")
    assert describe_remote() == expected


def test_keys_may_come_from_the_environment(
    server: S3Server, empty: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_remote(empty, **settings(server, access_key_id=None, secret_access_key=None))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.key.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.key.secret_access_key)
    assert describe_remote().endswith("reachable")


def test_a_remote_that_is_not_the_default_is_said_to_be(server: S3Server, empty: Project) -> None:
    set_remote(empty, **settings(server))
    empty.run("dvc", "remote", "add", "-d", "elsewhere", str(empty.folder.parent / "store"))
    empty.run("dvc", "config", "--local", "core.remote", "elsewhere")
    assert describe_remote().endswith("(not the default remote: dvc push -r storage, or dvc "
                                      "remote default storage)")  # fmt: skip


def test_a_remote_below_another_has_its_settings(server: S3Server, empty: Project) -> None:
    set_remote(empty, **settings(server))
    empty.run("dvc", "remote", "add", "--local", "-d", "part", "remote://storage/below")
    assert describe_remote().startswith(f"part: s3://{BUCKET}/some/folder/below at ")


# changes of the right settings, what the doctor finds, its advice, what `dvc push` says
FAULTS = {
    "wrong secret": (
        {"secret_access_key": "wrong"},
        "wrong keys (SignatureDoesNotMatch: ", "set both: dvc remote modify --local storage acc",
        "ERROR: unexpected error - Forbidden: An error occurred (403)",
    ),
    "unknown key": (
        {"access_key_id": "UNKNOWN"},
        "wrong keys (InvalidAccessKeyId: ", "set both: dvc remote modify --local storage acc",
        "ERROR: unexpected error - Forbidden: An error occurred (403)",
    ),
    "no such bucket": (
        {"url": "s3://no-such-bucket/x"},
        "no such bucket: no-such-bucket", "create the bucket, or name another: dvc remote modify",
        "The specified bucket does not exist",
    ),
    "dead server": (
        {"endpointurl": "http://127.0.0.1:9"},
        "server not reachable (Could not connect", "start the server (this project's own: make s3)",
        'Could not connect to the endpoint URL: "http://127.0.0.1:9',
    ),
    "no such host": (
        {"endpointurl": "http://no-such-host.invalid"},
        "server not reachable (Could not connect", "start the server (this project's own: make s3)",
        'Could not connect to the endpoint URL: "http://no-such-host.invalid',
    ),
    "no keys": (
        {"access_key_id": None, "secret_access_key": None},
        "no credentials (Unable to locate credentials)", "set both: dvc remote modify --local",
        "Unable to locate credentials",
    ),
    "half a key": (
        {"access_key_id": None},
        "no credentials (Partial credentials found", "set both: dvc remote modify --local",
        "Partial credentials found in explicit, missing: aws_access_key_id",
    ),
    "no such profile": (
        {"access_key_id": None, "secret_access_key": None, "profile": "team"},
        "no credentials (The config profile (team) could not be found)", "set both: dvc remote",
        "The config profile (team) could not be found",
    ),
    "no scheme": (
        {"endpointurl": "127.0.0.1:9"},
        "ValueError: Invalid endpoint: 127.0.0.1:9", "check the remote's settings: dvc config",
        "Invalid endpoint: 127.0.0.1:9",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_with_what_to_do(server: S3Server, empty: Project, fault: str) -> None:
    changes, found, advice, dvc_says = FAULTS[fault]
    set_remote(empty, **settings(server, **changes))
    started = time.monotonic()
    with pytest.raises(UserError) as caught:
        describe_remote()
    assert time.monotonic() - started < ANSWER_SECONDS + 1
    first, _, rest = str(caught.value).partition("\n")
    assert first.startswith("storage: s3://")
    assert f": {found}" in first
    assert rest.startswith(advice)
    assert server.key.secret_access_key not in str(caught.value)

    push = empty.run("dvc", "push", check=False)
    assert push.returncode != 0
    assert dvc_says in push.stdout


def test_a_fault_is_a_failed_check_of_the_doctor(server: S3Server, empty: Project) -> None:
    set_remote(empty, **settings(server, access_key_id="UNKNOWN"))
    doctor = empty.run("ouroboros", "doctor", check=False)
    assert doctor.returncode == 1
    assert f"FAIL S3 remote                 storage: s3://{BUCKET}/" in doctor.stdout
    assert "-> set both: dvc remote modify" in doctor.stdout


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """A server's address that gives every request the same reply; b"" for none at all."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        kept = []

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                if reply:
                    connection.recv(65536)
                    connection.sendall(reply)
                    connection.close()

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://{HOST}:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def error_reply(status: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>".encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_silent_server_does_not_hold_the_doctor_up(server: S3Server, empty: Project) -> None:
    with answering(b"") as endpoint:
        set_remote(empty, **settings(server, endpointurl=endpoint))
        started = time.monotonic()
        with pytest.raises(UserError, match="server not reachable"):
            describe_remote()
        assert time.monotonic() - started < ANSWER_SECONDS + 1


def test_a_silent_name_server_does_not_either(
    server: S3Server, empty: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing on this machine makes a look-up hang for certain.
    monkeypatch.setattr(s3_remote, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(30))
    set_remote(empty, **settings(server))
    started = time.monotonic()
    with pytest.raises(UserError, match=r"no answer in 0 s\n.*make s3"):
        describe_remote()
    assert time.monotonic() - started < 5


# What AWS answers and the local server never does.
@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (error_reply("403 Forbidden", "AccessDenied"), "these keys may not list the bucket"),
        (error_reply("403 Forbidden", "RequestTimeTooSkewed"), "this machine's clock is wrong"),
        (error_reply("400 Bad Request", "ExpiredToken"), r"wrong keys \(ExpiredToken: so it is\)"),
        (error_reply("400 Bad Request", "IllegalLocation"), "the bucket is in another region"),
        (error_reply("503 Slow Down", "SlowDown"), r"refused \(SlowDown: so it is\)"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "is not an S3 server"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", "is not an S3 server"),
    ],
)
def test_other_answers_are_told_apart(
    server: S3Server, empty: Project, reply: bytes, found: str
) -> None:
    with answering(reply) as endpoint:
        set_remote(empty, **settings(server, endpointurl=endpoint))
        with pytest.raises(UserError, match=found):
            describe_remote()


def test_a_configuration_that_dvc_cannot_read_is_named(empty: Project) -> None:
    (empty.folder / ".dvc" / "config.local").write_text("[core\n")
    with pytest.raises(UserError, match="DVC's configuration cannot be read"):
        describe_remote()
