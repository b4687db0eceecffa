"""The `ouroboros` command."""

from __future__ import annotations

import argparse
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
    """The console script: parse, dispatch, exit (0; 2 for an error the user can mend)."""
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
    score.add_argument(
        "--critic", type=Path, default=Path("models/critic"), metavar="DIR",
        help="a critic, as the train_critic stage writes it (default: models/critic)",
    )  # fmt: skip
    _add_files(score, "where the rows go (JSONL)")
    score.set_defaults(handler=_score)

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


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
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


def _summary(arguments: argparse.Namespace) -> int:
    from ouroboros.evaluation.summary import print_summary

    print_summary(Path())
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from ouroboros.reporting.page import write_report

    write_report(arguments.root, arguments.out)
    print(f"{arguments.out}: open it in a browser")
    return 0


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
