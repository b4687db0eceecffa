"""`make s3`: the S3 server in the foreground, and what to type to push to it.

python -m ouroboros.sharing.serve --port 8333 --folder .s3
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from ouroboros.errors import run_main
from ouroboros.sharing.s3_server import BUCKET, DEFAULT_PORT, S3Server

REMOTE = "storage"  # the name the printed commands give the DVC remote


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it is asked to stop (Ctrl-C, SIGTERM, a closed terminal); returns 0.

    Raises:
        UserError: it does not come up, or ends by itself.
    """
    parser = argparse.ArgumentParser(
        prog="python -m ouroboros.sharing.serve", description="An S3 server on loopback."
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"where S3 is served ({DEFAULT_PORT})"
    )
    parser.add_argument("--folder", type=Path, default=Path(".s3"), help="data, key and log (.s3)")
    arguments = parser.parse_args(argv)
    # SIGINT too: a shell starts what runs in its background with Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    server = S3Server(arguments.folder, arguments.port)
    try:
        server.start()
        print(f"S3 at {server.endpoint}, bucket {BUCKET}; data and key in {arguments.folder}/")
        print("Type in each clone that is to push to it or pull from it, in its environment:\n")
        print(*(f"    {line}" for line in next_steps(server)), sep="\n")
        print("\nThen: dvc push, dvc pull (docs/sharing.md). Ctrl-C stops the server.", flush=True)
        server.wait()
    except KeyboardInterrupt:
        print("\nstopping (a few seconds; Ctrl-C again ends it at once)", flush=True)
        try:
            server.stop()
        except KeyboardInterrupt:
            server.kill()
        print("stopped; the data stays", flush=True)
    finally:
        server.kill()
    return 0


def next_steps(server: S3Server) -> list[str]:
    """The commands that make the server a clone's default DVC remote.

    They write to .dvc/config.local, which git ignores: a key in .dvc/config would be committed.
    """
    settings = {
        "endpointurl": server.endpoint,
        "access_key_id": server.key.access_key_id,
        "secret_access_key": server.key.secret_access_key,
    }
    return [
        f"dvc remote add --local --force --default {REMOTE} s3://{BUCKET}",
        *(f"dvc remote modify --local {REMOTE} {name} {text}" for name, text in settings.items()),
    ]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    run_main(main)
