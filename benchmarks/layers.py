"""What each layer of the candidate's confinement costs, one put on after the other.

    python benchmarks/layers.py < programs      (as root: the user id is one of the layers)

Forks as the zygote does, from a process that imported what it imports, and runs the programs of
standard input (see peers.py) with their asserts in the child. Prints JSON: [layer, ms] pairs.
"""

from __future__ import annotations

import ast
import gc
import importlib
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from peers import script

sys.path.insert(0, str(Path(__file__).parents[1] / "src" / "ouroboros"))
from verification.inside import runner, zygote
from verification.inside.confine import Confinement

LAYERS = (
    "fork", "PID namespace", "setsid", "CPU limit", "user id", "no capabilities, seccomp filter"
)  # fmt: skip


def measure(confinement: Confinement, programs: list[dict[str, Any]], layers: int) -> float:
    fork = zygote.c_fork()
    own = os.pidfd_open(os.getpid())
    begin = time.perf_counter()
    for program in programs:
        if layers > 1:
            confinement.enter_new_pid_namespace()
        child = fork()
        if child == 0:
            status = 1
            try:
                if layers > 2:
                    os.setsid()
                if layers > 3:
                    resource.setrlimit(resource.RLIMIT_CPU, (4, 4))
                if layers > 4:
                    confinement.change_user()
                if layers > 5:
                    confinement.drop_rights()
                gc.freeze()
                gc.enable()
                exec(compile(script(program), "<program>", "exec"), {"__name__": "__main__"})
                status = 0
            finally:
                os._exit(status)
        if layers > 1:
            confinement.return_to_pid_namespace(own)
        assert os.waitpid(child, 0)[1] == 0, program["id"]
    os.close(own)
    return (time.perf_counter() - begin) / len(programs) * 1e3


def main() -> None:
    programs = json.load(sys.stdin)
    for name in zygote.PRE_IMPORTED:
        importlib.import_module(name)
    # What the programs import besides: another user may not read where the interpreter lies. (In
    # the jail everyone may.)
    for program in programs:
        for node in ast.walk(ast.parse(program["code"] + "\n" + program["setup"])):
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(ast.unparse(node), {})
    runner.warm_up()
    confinement = Confinement(judge=False, user_id=1000 if os.geteuid() == 0 else None)
    confinement.prepare()
    gc.disable()
    gc.collect()
    gc.freeze()
    count = range(1, len(LAYERS) + 1)
    print(json.dumps([[LAYERS[n - 1], measure(confinement, programs, n)] for n in count]))


if __name__ == "__main__":
    main()
