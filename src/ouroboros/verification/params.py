"""Params of the execute stage: the limits of one candidate."""

from __future__ import annotations

from dataclasses import dataclass

from ouroboros.params import require


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecuteParams:
    """Limits of one candidate, all its tests together (params block `execute`).

    Attributes:
        python: the interpreter's minor version. It is part of what a label means, so another one
            is an error and not a silent change. Default "3.11".
        cpu_seconds: CPU time in whole seconds, after which the kernel kills; the only time that
            decides for a busy machine. Default 4 (the slowest MBPP reference needs about 2).
        wall_seconds: elapsed time in seconds; stops a candidate that sleeps. One that computes and
            merely had to wait for the processor gets more. Default 10.
        memory_mb: address space (RLIMIT_AS) in MiB. Default 512.
        max_processes: threads, the first one included. Default 16.
        max_output_bytes: bytes printed on standard output and error together. Default 65536.
        max_value_bytes: size of one returned value, encoded. Default 262144.
        max_value_depth: how deep containers may nest in one returned value. Default 32.
        max_value_items: elements in all containers of one returned value. Default 20000.
    """

    python: str = "3.11"
    cpu_seconds: int = 4
    wall_seconds: float = 10.0
    memory_mb: int = 512
    max_processes: int = 16
    max_output_bytes: int = 65536
    max_value_bytes: int = 262144
    max_value_depth: int = 32
    max_value_items: int = 20000

    def __post_init__(self) -> None:
        require(1 <= self.cpu_seconds <= 3600, "cpu_seconds must lie in 1..3600")
        require(
            self.wall_seconds >= self.cpu_seconds,
            "wall_seconds must be at least cpu_seconds, or it decides on a busy machine",
        )
        require(self.memory_mb >= 256, "memory_mb must be at least 256: the interpreter needs some")
        require(1 <= self.max_processes <= 1024, "max_processes must lie in 1..1024")
        require(self.max_output_bytes >= 0, "max_output_bytes must not be negative")
        require(
            1024 <= self.max_value_bytes <= 1 << 24, "max_value_bytes must lie in 1024..16777216"
        )
        # The judge compares by recursion: deeper values would end it, not the candidate.
        require(1 <= self.max_value_depth <= 100, "max_value_depth must lie in 1..100")
        require(1 <= self.max_value_items <= 1 << 20, "max_value_items must lie in 1..1048576")
