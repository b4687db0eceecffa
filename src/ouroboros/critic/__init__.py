"""The soft verifier: a critic that predicts P(pass | prompt, code) without running anything."""

import os

# Read by OpenMP when torch is loaded, so set before any module here can load it. Threads that wait
# sleep instead of spinning: where another process wants the cores too, a training step took a
# quarter of the time; where none does, the same.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# TRL and the hub client would otherwise send usage data when a trainer is made.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
