#!/usr/bin/env bash
# Resolves requirements/*.in into requirements/*.lock with uv. --check resolves into a scratch
# folder with the committed locks as preferences and fails where a lock no longer satisfies its .in.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v uv >/dev/null || { echo "error: uv is needed to resolve: pip install uv" >&2; exit 2; }
check=${1:-}
out=requirements
if [ "$check" = --check ]; then
  out=$(mktemp -d)
  trap 'rm -rf "$out"' EXIT
  cp requirements/*.lock "$out"
fi
# PyTorch's CPU build lies on its own index, or in a folder of wheels that pip is told of.
torch=(${PIP_FIND_LINKS:+--find-links "$PIP_FIND_LINKS"})
[ -n "${PIP_FIND_LINKS:-}" ] || torch=(--extra-index-url https://download.pytorch.org/whl/cpu --index-strategy unsafe-best-match)
common=(--quiet --python-version 3.11 --generate-hashes --no-header)
uv pip compile requirements/cpu.in "${common[@]}" "${torch[@]}" --override requirements/overrides-cpu.txt \
  --no-emit-package torch --no-emit-find-links --no-emit-index-url -o "$out/cpu.lock" >/dev/null
uv pip compile requirements/a100.in "${common[@]}" --python-platform x86_64-manylinux_2_35 \
  -o "$out/a100.lock" >/dev/null
for profile in cpu a100; do
  count=$(grep -cE '^[a-z0-9].*==' "$out/$profile.lock")
  if [ "$check" = --check ]; then
    diff -u "requirements/$profile.lock" "$out/$profile.lock" || { echo "error: $profile.lock is stale: make lock" >&2; exit 1; }
  fi
  echo "$profile.lock: $count packages resolve"
done
