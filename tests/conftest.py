"""Hypothesis profiles: few and the same examples in CI, many and new ones under `make soak`."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci", max_examples=12, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
settings.register_profile("soak", parent=settings.get_profile("ci"), max_examples=400,
                          derandomize=False, print_blob=True)  # fmt: skip
settings.load_profile("ci")
