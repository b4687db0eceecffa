"""A critic as an MLflow model: loaded where the project is not installed, and served."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ouroboros.answering.tasks import make_problem
from ouroboros.cli import main
from ouroboros.critic.scoring import load_critic
from ouroboros.errors import UserError
from ouroboros.mlflow_model import COLUMNS, export_mlflow
from tests.critic.tiny_critics import train_tiny_critic

ROWS = [
    ["Write a function to add one.", "def add(x):\n    return x + 1\n", "assert add(1) == 2"],
    ["Write a function to add one.", "def add(x):\n    return x\n", ""],
]


@pytest.fixture(scope="module")
def critic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny_critic(tmp_path_factory.mktemp("critic"))


@pytest.fixture(scope="module")
def model(critic: Path) -> Path:
    target = critic.parent / "model"
    with pytest.raises(SystemExit) as ended:
        main(["export", "--mlflow", str(target), "--critic", str(critic)])
    assert ended.value.code == 0
    return target


def expected(critic: Path) -> list[dict[str, float]]:
    first = make_problem(ROWS[0][0], [ROWS[0][2]])
    second = make_problem(ROWS[1][0], entry_point="add")
    # The task says no name, so the program is read under its own; the prompt stays as it is.
    second = dataclasses.replace(second, prompt_text=ROWS[1][0])
    scores = load_critic(critic).score([(first, ROWS[0][1]), (second, ROWS[1][1])])
    return [{"reward": score.reward, "p_pass": score.p_pass} for score in scores]


@pytest.mark.slow
def test_it_loads_without_the_project_and_scores_the_same(critic: Path, model: Path) -> None:
    script = (
        "import sys, json, mlflow.pyfunc, pandas\n"
        "loaded = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "import ouroboros\n"
        "assert sys.argv[1] in ouroboros.__file__, ouroboros.__file__\n"
        "rows = pandas.DataFrame(json.loads(sys.argv[2]), columns=json.loads(sys.argv[3]))\n"
        "print(loaded.predict(rows).to_json(orient='records'))\n"
    )
    # The installed project is hidden: a finder that comes first refuses it.
    hidden = (
        "import sys\n"
        "sys.path[:] = [p for p in sys.path if not p.endswith('/src')]\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden + script, str(model), json.dumps(ROWS), json.dumps(COLUMNS)],
        capture_output=True, text=True, timeout=300, check=False, cwd=model.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == expected(critic)


@pytest.mark.slow
def test_mlflow_serves_it(critic: Path, model: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with open(log, "w") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model),
             "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
            stdout=stream, stderr=stream, start_new_session=True, cwd=tmp_path,
            # It starts `uvicorn` by name: the environment must be active.
            env=os.environ | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
        )  # fmt: skip
    try:
        _wait(f"http://127.0.0.1:{port}/ping", server, log)
        answer = _post(
            f"http://127.0.0.1:{port}/invocations",
            {"dataframe_split": {"columns": list(COLUMNS), "data": ROWS}},
        )
        assert answer["predictions"] == expected(critic)
        with pytest.raises(urllib.error.HTTPError) as refused:
            _post(
                f"http://127.0.0.1:{port}/invocations",
                {"dataframe_split": {"columns": ["task"], "data": [["A task"]]}},
            )
        assert refused.value.code == 400
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"no answer:\n{log.read_text()[-3000:]}")


def _post(url: str, body: Any) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_a_folder_in_the_way_and_a_missing_critic_are_named(critic: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    with pytest.raises(UserError, match="there is something already"):
        export_mlflow(critic, tmp_path / "there")
    assert (tmp_path / "there" / "file").read_text() == "mine"
    with pytest.raises(UserError, match="no critic here"):
        export_mlflow(tmp_path / "nothing", tmp_path / "model")
