"""The `ouroboros` command."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from ouroboros import __version__
from ouroboros.errors import run_main

DESCRIPTION = """\
Verified code generation: sample many programs, run each against unit tests in a sandbox, and let a
critic that learned from the verdicts pick one.

The experiment itself is a DVC pipeline: run `make repro`, or `dvc repro` in this environment.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """The console script: parse, dispatch, exit: 0; 2 for an error the user can mend; what
    a command's own help says."""
    arguments = _parser().parse_args(argv)
    run_main(lambda: arguments.handler(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ouroboros",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ouroboros {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    verify = commands.add_parser(
        "verify",
        help="run programs against their problems' tests in the sandbox",
        description="Run every candidate program against its problem's tests in the sandbox and "
        "write one verdict per candidate, in input order. Exit status 0 means that every "
        "candidate has a verdict, whatever the verdicts are. With --labelled the result can "
        "train a critic: the param split.extra_train takes it.",
    )
    _add_files(verify, "where the verdicts go (JSONL)")
    verify.add_argument(
        "--labelled",
        action="store_true",
        help="write labelled problems in place of verdicts: each problem that has candidates, with "
        "its programs and their verdicts",
    )
    verify.add_argument(
        "--workers",
        type=_positive,
        metavar="N",
        help="sandboxes at work side by side (default: one per core)",
    )
    verify.set_defaults(handler=_verify)

    score = commands.add_parser(
        "score",
        help="let a trained critic say how likely programs are to pass, without running them",
        description="Score every candidate program with a trained critic and write its row again "
        "with `reward` (ranks the programs of a problem) and `p_pass` (a probability), in input "
        "order. Nothing is executed.",
    )
    _add_critic(score)
    _add_files(score, "where the rows go (JSONL)")
    score.set_defaults(handler=_score)

    solve = commands.add_parser(
        "solve",
        help="write a program for a task: sample many, keep those that pass, let the critic choose",
        description="Draw programs for a task with the project's generator, keep those that pass "
        "the given tests in the sandbox, and print the one the critic ranks first. Run it at the "
        "project's root. Standard output gets the program alone. Exit status 0: a program was "
        "printed; 3: none was, and standard error says why (none passes the tests, or the best "
        "one's p_pass is below --min-p); 2: an error.",
    )
    solve.add_argument("task", metavar="TASK", help='such as "Write a function to ..."')
    _add_tests(solve)
    solve.add_argument(
        "-n", type=_positive, default=16, metavar="N",
        help="programs to sample; the greedy one comes on top (default: 16)",
    )  # fmt: skip
    solve.add_argument(
        "--seed", type=int, metavar="N", help="of the samples (default: the param generate.seed)"
    )
    _add_critic(solve)
    _add_choice(solve)
    solve.set_defaults(handler=_solve)

    rank = commands.add_parser(
        "rank",
        help="rank programs you have for a task: the critic's order, and verdicts if there are "
        "tests",
        description="Rank programs for a task with a trained critic, and with tests run each in "
        "the sandbox too; programs that pass come first. Prints a table. Exit status 0: the first "
        "program could be used; 3: it could not (none passes the tests, or the best one's p_pass "
        "is below --min-p); 2: an error.",
    )
    rank.add_argument(
        "files", nargs="+", metavar="FILE", help="one Python program each; - is standard input"
    )
    rank.add_argument("--task", metavar="TASK", help="what the programs are to do, in words")
    _add_tests(rank)
    rank.add_argument(
        "--problem", metavar="ID",
        help="in place of --task: a problem of --problems, such as mbpp/11, with its tests",
    )  # fmt: skip
    rank.add_argument(
        "--problems", type=Path, metavar="FILE", help="the file of --problem, as verify takes it"
    )
    _add_critic(rank)
    _add_choice(rank)
    rank.set_defaults(handler=_rank)

    serve = commands.add_parser(
        "serve",
        help="answer over HTTP: score, rank and verify programs, as JSON",
        description="Load a trained critic once and answer requests over HTTP until Ctrl-C or "
        "SIGTERM: POST /score, /rank and, for the problems of --problems, /verify in the sandbox; "
        "GET /health. docs/serving.md has the API. Another host than loopback needs a token in the "
        "environment, OUROBOROS_TOKEN.",
    )
    _add_critic(serve)
    serve.add_argument(
        "--problems", type=Path, metavar="FILE",
        help="problems that requests may name, as verify takes them; without it nothing is run",
    )  # fmt: skip
    serve.add_argument(
        "--host", default="127.0.0.1", metavar="HOST",
        help="name or address to listen on (default: 127.0.0.1)",
    )  # fmt: skip
    serve.add_argument(
        "--port", type=_port, default=8080, metavar="N", help="0 takes a free one (default: 8080)"
    )
    serve.add_argument(
        "--max-body-bytes", type=_positive, default=1 << 20, metavar="N",
        help="of one request (default: 1048576)",
    )  # fmt: skip
    serve.add_argument(
        "--queue", type=_positive, default=32, metavar="N",
        help="requests that may wait for their turn; further ones get 429 (default: 32)",
    )  # fmt: skip
    serve.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="SECONDS",
        help="a request whose turn does not come in time gets 503 (default: 30)",
    )  # fmt: skip
    serve.set_defaults(handler=_serve)

    summary = commands.add_parser(
        "summary",
        help="print the last run's table: did the verifier beat the baseline?",
        description="Print the table of the last run from its metrics files.",
    )
    summary.set_defaults(handler=_summary)

    report = commands.add_parser(
        "report",
        help="write the last run as one HTML page: claims, tables, figures, worst mistakes",
        description="Write the last run as one HTML page: the claims in words, every selector with "
        "its interval, figures, the critic's quality and its worst mistakes, data and params. The "
        "page is one file that loads nothing and runs nothing, so it can be opened offline or sent "
        "on. It is a view of the files that `make repro` leaves, not a stage: nothing is "
        "recomputed.",
    )
    report.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE",
        help="the page (default: report.html)",
    )  # fmt: skip
    report.add_argument(
        "--root", type=Path, default=Path(), metavar="DIR",
        help="the project whose run is shown (default: this folder)",
    )  # fmt: skip
    report.set_defaults(handler=_report)

    export = commands.add_parser(
        "export",
        help="write a critic in another form: an MLflow model",
        description="Write a critic as an MLflow model, which `mlflow models serve` serves and "
        "`mlflow.pyfunc.load_model` loads: rows of task, program and, optionally, tests in; reward "
        "and p_pass out. Nothing is executed.",
    )
    export.add_argument(
        "--mlflow", type=Path, required=True, metavar="DIR", help="where the model goes"
    )
    _add_critic(export)
    export.set_defaults(handler=_export)

    problems = commands.add_parser("problems", help="look at files of problems")
    of_problems = problems.add_subparsers(title="commands", required=True, metavar="COMMAND")
    check = of_problems.add_parser(
        "check",
        help="say what is wrong with a file of problems, line by line",
        description="Read a file of problems (JSONL, JSON or CSV; docs/own_problems.md) and say, "
        "line by line, what is wrong: not a problem, no tests, tests that never call the entry "
        "point, a reference that fails its tests or does not give the same values every time. "
        "References run in the sandbox. Exit status 0: nothing wrong (warnings aside); 1: faults; "
        "2: the file cannot be read.",
    )
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument(
        "--visible-tests", type=_positive, default=1, metavar="N",
        help="tests that the prompt will show, as the param visible_tests (default: 1)",
    )  # fmt: skip
    check.set_defaults(handler=_check_problems)

    seeds = commands.add_parser(
        "seeds",
        help="compare critics of several training seeds: does the claim hold for all of them?",
        description="Read the per-problem tables of critics trained with different seeds (the same "
        "split of the same data) and print the claims with intervals over problems and critics. "
        "docs/evaluation.md says how to get the tables.",
    )
    seeds.add_argument(
        "tables",
        type=Path,
        nargs="+",
        metavar="TABLE",
        help="data/tables/<split>.csv, one a critic",
    )
    seeds.set_defaults(handler=_seeds)

    doctor = commands.add_parser(
        "doctor",
        help="say what this machine can do, what it lacks and how to get it",
        description="Check this machine: interpreter, sandbox, engine, disk. Exit status 1 if "
        "something that the default profile needs is missing.",
    )
    doctor.set_defaults(handler=_doctor)
    return parser


def _add_files(parser: argparse.ArgumentParser, out: str) -> None:
    """The files of a command that takes problems and candidates and writes a row for each."""
    parser.add_argument(
        "--problems",
        type=Path,
        required=True,
        metavar="FILE",
        help="problems as published for MBPP or HumanEval (JSONL, .gz too; ids become mbpp/N, "
        "humaneval/N), or in this project's own form",
    )
    parser.add_argument(
        "--candidates",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSONL with problem_id, sample_index and code",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=out)


def _add_critic(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--critic", type=Path, default=Path("models/critic"), metavar="DIR",
        help="a critic, as the train_critic stage writes it (default: models/critic)",
    )  # fmt: skip


def _add_tests(parser: argparse.ArgumentParser) -> None:
    """The tests of a task in words."""
    parser.add_argument(
        "--test", action="append", default=[], dest="tests", metavar="ASSERT",
        help='an assert statement a program must pass, such as "assert f(2) == 4"; any number',
    )  # fmt: skip
    parser.add_argument(
        "--entry-point", metavar="NAME",
        help="the name a program must define (default: what the tests call)",
    )  # fmt: skip


def _add_choice(parser: argparse.ArgumentParser) -> None:
    """When to decline, and the form of the output."""
    parser.add_argument(
        "--min-p", type=_probability, metavar="P",
        help="decline (exit status 3) where the best program's p_pass is lower",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object with all programs, best first"
    )


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text!r}")
    return value


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return value


def _port(text: str) -> int:
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, found {text!r}")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, found {text!r}")
    return value


# Each handler imports its own part, so that `ouroboros --help` is instant.


def _verify(arguments: argparse.Namespace) -> int:
    from ouroboros.verification import command

    command.run(
        problems=arguments.problems,
        candidates=arguments.candidates,
        out=arguments.out,
        workers=arguments.workers,
        labelled=arguments.labelled,
    )
    return 0


def _score(arguments: argparse.Namespace) -> int:
    from ouroboros import score

    score.run(
        critic=arguments.critic,
        problems=arguments.problems,
        candidates=arguments.candidates,
        out=arguments.out,
    )
    return 0


def _solve(arguments: argparse.Namespace) -> int:
    from ouroboros.answering import solve

    return solve.run(
        arguments.task,
        arguments.tests,
        entry_point=arguments.entry_point,
        n=arguments.n,
        seed=arguments.seed,
        critic=arguments.critic,
        min_p=arguments.min_p,
        json=arguments.json,
    )


def _rank(arguments: argparse.Namespace) -> int:
    from ouroboros.answering import rank

    return rank.run(
        arguments.files,
        task=arguments.task,
        tests=arguments.tests,
        entry_point=arguments.entry_point,
        problem_id=arguments.problem,
        problems=arguments.problems,
        critic=arguments.critic,
        min_p=arguments.min_p,
        json=arguments.json,
    )


def _serve(arguments: argparse.Namespace) -> int:
    from ouroboros.serving import server

    return server.run(
        critic=arguments.critic,
        problems=arguments.problems,
        host=arguments.host,
        port=arguments.port,
        max_body_bytes=arguments.max_body_bytes,
        queue=arguments.queue,
        timeout=arguments.timeout,
    )


def _summary(arguments: argparse.Namespace) -> int:
    from ouroboros.evaluation.summary import print_summary

    print_summary(Path())
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from ouroboros.reporting.page import write_report

    write_report(arguments.root, arguments.out)
    print(f"{arguments.out}: open it in a browser")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from ouroboros.mlflow_model import export_mlflow

    export_mlflow(arguments.critic, arguments.mlflow)
    print(
        f"{arguments.mlflow}: serve it with mlflow models serve -m {arguments.mlflow} "
        "--env-manager local"
    )
    return 0


def _check_problems(arguments: argparse.Namespace) -> int:
    from ouroboros import check_problems

    return check_problems.run(arguments.file, arguments.visible_tests)


def _seeds(arguments: argparse.Namespace) -> int:
    from ouroboros.evaluation.seeds import read_tables, report

    print(report(read_tables(arguments.tables)))
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from ouroboros.verification import doctor

    checks = doctor.checks()
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{'ok  ' if check.ok else 'FAIL'} {check.name:<{width}}  {check.detail}")
        if not check.ok:
            print(f"     {'':<{width}}  -> {check.fix}")
    return 0 if all(check.ok for check in checks) else 1


if __name__ == "__main__":
    main(sys.argv[1:])
