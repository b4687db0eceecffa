"""What a process does to itself before it runs code it does not trust.

Capabilities and the user id are given up, and a seccomp filter is installed that lets through what
a Python program needs and nothing else. The jail around it (sandbox/nsjail.cfg) has a wider filter:
it must still allow the fork and the namespaces that this one forbids.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

CLONE_NEWPID = 0x20000000

_PR_SET_NO_NEW_PRIVS = 38
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522

_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_ALLOW = 0x7FFF0000
_EPERM, _ENOTTY, _ENOSYS = 1, 25, 38

# Offsets in struct seccomp_data (little endian): nr, arch, low and high words of the arguments.
_NR, _ARCH = 0, 4


def _low(argument: int) -> int:
    return 16 + 8 * argument


# Audit architecture and system call numbers, by name, for the machines this runs on.
_X86_64 = """
read=0 write=1 open=2 close=3 stat=4 fstat=5 lstat=6 poll=7 lseek=8 mmap=9 mprotect=10 munmap=11
brk=12 rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15 ioctl=16 pread64=17 readv=19 writev=20
access=21 pipe=22 select=23 sched_yield=24 mremap=25 madvise=28 dup=32 dup2=33 pause=34
nanosleep=35 getitimer=36 alarm=37 setitimer=38 getpid=39 sendto=44 recvfrom=45 sendmsg=46
recvmsg=47 socketpair=53 clone=56 exit=60 wait4=61 kill=62 uname=63 fcntl=72 getcwd=79 readlink=89
gettimeofday=96 getrlimit=97 getrusage=98 sysinfo=99 times=100 getuid=102 getgid=104 geteuid=107
getegid=108 getppid=110 getpgrp=111 getgroups=115 getpgid=121 getsid=124 rt_sigpending=127
rt_sigtimedwait=128 sigaltstack=131 statfs=137 fstatfs=138 setrlimit=160 gettid=186 tkill=200
time=201 futex=202 sched_getaffinity=204 getdents64=217 set_tid_address=218 restart_syscall=219
clock_gettime=228 clock_getres=229 clock_nanosleep=230 exit_group=231 tgkill=234 openat=257
newfstatat=262 readlinkat=267 faccessat=269 pselect6=270 ppoll=271 set_robust_list=273
get_robust_list=274 pipe2=293 dup3=292 preadv=295 prlimit64=302 getcpu=309 getrandom=318
statx=332 rseq=334 clone3=435 close_range=436 faccessat2=439
"""
_AARCH64 = """
getcwd=17 dup=23 dup3=24 fcntl=25 ioctl=29 statfs=43 fstatfs=44 faccessat=48 openat=56 close=57
pipe2=59 getdents64=61 lseek=62 read=63 write=64 readv=65 writev=66 pread64=67 preadv=69
pselect6=72 ppoll=73 readlinkat=78 newfstatat=79 fstat=80 exit=93 exit_group=94 set_tid_address=96
futex=98 set_robust_list=99 get_robust_list=100 nanosleep=101 getitimer=102 setitimer=103
clock_gettime=113 clock_getres=114 clock_nanosleep=115 sched_getaffinity=123 sched_yield=124
restart_syscall=128 kill=129 tkill=130 tgkill=131 sigaltstack=132 rt_sigaction=134
rt_sigprocmask=135 rt_sigpending=136 rt_sigtimedwait=137 rt_sigreturn=139 times=153 getpgid=155
getsid=156 getgroups=158 uname=160 getrlimit=163 setrlimit=164 getrusage=165 getcpu=168
gettimeofday=169 getpid=172 getppid=173 getuid=174 geteuid=175 getgid=176 getegid=177 gettid=178
sysinfo=179 socketpair=199 sendto=206 recvfrom=207 sendmsg=211 recvmsg=212 brk=214 munmap=215
mremap=216 clone=220 mmap=222 mprotect=226 madvise=233 wait4=260 prlimit64=261 getrandom=278
statx=291 rseq=293 clone3=435 close_range=436 faccessat2=439
"""
_MACHINES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}

# Only the judge needs these: it makes the pipes of each candidate and hands them over.
_JUDGE_ONLY = ("socketpair", "sendmsg", "recvmsg", "sendto", "recvfrom")

_CLONE_THREAD_BITS = 0x00000100 | 0x00000800 | 0x00010000  # VM, SIGHAND, THREAD
_CLONE_FORBIDDEN_BITS = 0x7E020000 | 0x00000080  # every namespace, and new time
_FCNTL_ALLOWED = (0, 1, 2, 3, 1030)  # dupfd, getfd, setfd, getfl, dupfd_cloexec


def _statement(code: int, k: int) -> bytes:
    return struct.pack("<HBBI", code, 0, 0, k)


def _jump(code: int, k: int, yes: int, no: int) -> bytes:
    return struct.pack("<HBBI", code, yes, no, k)


_LOAD, _RETURN = 0x20, 0x06
_JUMP_EQUAL, _JUMP_AT_LEAST, _AND = 0x15, 0x35, 0x54


def _answer(action: int) -> list[bytes]:
    return [_statement(_RETURN, action)]


def _clone_rule() -> list[bytes]:
    """Threads only: the thread bits set, no namespace bit set."""
    return [
        _statement(_LOAD, _low(0)),
        _statement(_AND, _CLONE_THREAD_BITS | _CLONE_FORBIDDEN_BITS),
        _jump(_JUMP_EQUAL, _CLONE_THREAD_BITS, 0, 1),
        _statement(_RETURN, _ALLOW),
        _statement(_RETURN, _ERRNO | _EPERM),
    ]


def _argument_rule(argument: int, allowed: Iterable[int]) -> list[bytes]:
    values = list(allowed)
    rule = [_statement(_LOAD, _low(argument))]
    for index, value in enumerate(values):
        rule.append(_jump(_JUMP_EQUAL, value, len(values) - index, 0))
    return [*rule, _statement(_RETURN, _ERRNO | _EPERM), _statement(_RETURN, _ALLOW)]


def build_filter(*, judge: bool = False, machine: str | None = None) -> bytes:
    """The stricter seccomp filter as an array of BPF instructions (seccomp(2)).

    An allow list: everything else answers EPERM, `clone3` ENOSYS (so that the C library falls back
    to `clone`, whose flags can be seen), every `ioctl` ENOTTY. A call through another architecture
    or the x32 numbers kills the process. The allow list is searched by halving, which keeps both
    the filter's cost per call and the kernel's cost of installing it small.

    Raises:
        KeyError: a machine whose numbers are not listed here.
    """
    architecture, listing = _MACHINES[machine or os.uname().machine]
    numbers = {name: int(number) for name, number in (e.split("=") for e in listing.split())}
    rules: dict[int, list[bytes]] = {}
    for name, number in numbers.items():
        if name not in _JUDGE_ONLY or judge:
            rules[number] = _answer(_ALLOW)
    rules[numbers["clone"]] = _clone_rule()
    rules[numbers["clone3"]] = _answer(_ERRNO | _ENOSYS)
    rules[numbers["ioctl"]] = _answer(_ERRNO | _ENOTTY)
    rules[numbers["fcntl"]] = _argument_rule(1, _FCNTL_ALLOWED)
    rules[numbers["prlimit64"]] = _argument_rule(0, (0,))
    denied = _answer(_ERRNO | _EPERM)
    intervals: list[tuple[int, list[bytes]]] = [(0, denied)]
    for number in sorted(rules):
        for start, rule in ((number, rules[number]), (number + 1, rules.get(number + 1, denied))):
            if intervals[-1][0] == start:
                intervals[-1] = (start, rule)
            elif intervals[-1][1] != rule:
                intervals.append((start, rule))
    intervals.append((0x40000000, _answer(_KILL_PROCESS)))
    return b"".join(
        [
            _statement(_LOAD, _ARCH),
            _jump(_JUMP_EQUAL, architecture, 1, 0),
            _statement(_RETURN, _KILL_PROCESS),
            _statement(_LOAD, _NR),
            *_search(intervals),
        ]
    )


def _search(intervals: list[tuple[int, list[bytes]]]) -> list[bytes]:
    if len(intervals) == 1:
        return intervals[0][1]
    middle = len(intervals) // 2
    left, right = _search(intervals[:middle]), _search(intervals[middle:])
    start = intervals[middle][0]
    if len(left) <= 255:
        return [_jump(_JUMP_AT_LEAST, start, len(left), 0), *left, *right]
    # A conditional jump reaches 255 instructions; an unconditional one behind it any distance.
    return [
        _jump(_JUMP_AT_LEAST, start, 0, 1),
        _statement(0x05, len(left)),
        *left,
        *right,
    ]


class Confinement:
    """Everything prepared once, so that a forked process confines itself in a few calls.

    Args:
        judge: allow the judge's own few calls besides.
        user_id: the id to become (inside the jail's user namespace), or None to keep the id.
    """

    def __init__(self, *, judge: bool, user_id: int | None) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        # Bound once: looking a function up in every child costs more than all of its calls.
        self._prctl, self._capset = self._libc.prctl, self._libc.capset
        self._prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        self._user_id = user_id
        program = build_filter(judge=judge)
        self._instructions = ctypes.create_string_buffer(program, len(program))
        address = ctypes.addressof(self._instructions)
        self._program = ctypes.create_string_buffer(
            struct.pack("@HP", len(program) // 8, address), 16
        )
        self._program_address = ctypes.addressof(self._program)
        self._header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0), 8)
        self._no_capabilities = ctypes.create_string_buffer(bytes(24), 24)

    def prepare(self) -> None:
        """Once, before the forks: no new privileges, nothing to inherit on exec."""
        self._check(self._prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        self._check(self._prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient")
        for capability in range(64):
            if self._prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                break  # past the last one this kernel knows, or not permitted to drop

    def apply(self) -> None:
        """Become the other user, drop every capability, install the filter.

        Raises:
            OSError: the kernel refused a step; nothing untrusted may run then.
        """
        self.change_user()
        self.drop_rights()

    def change_user(self) -> None:
        user_id = self._user_id
        if user_id is not None:
            os.setgroups([])
            os.setresgid(user_id, user_id, user_id)
            os.setresuid(user_id, user_id, user_id)

    def drop_rights(self) -> None:
        self._check(self._capset(self._header, self._no_capabilities), "capset")
        self._check(
            self._prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, self._program_address, 0, 0),
            "seccomp",
        )

    def enter_new_pid_namespace(self) -> None:
        """From now on forked children are the first process of a PID namespace of their own."""
        self._check(self._libc.unshare(CLONE_NEWPID), "unshare")

    def return_to_pid_namespace(self, descriptor: int) -> None:
        """Undo that, with a pidfd of this process."""
        self._check(self._libc.setns(descriptor, CLONE_NEWPID), "setns")

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")
