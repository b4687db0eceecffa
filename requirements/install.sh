#!/usr/bin/env bash
# Builds .venv for one profile (cpu or a100) from the lock files here. Called by make; see README.
#
# Sources are the user's own pip configuration. PyTorch's CPU build is not on the public package
# index, so where the configured sources lack it, PyTorch's own index is asked for that one file.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-cpu}
lock=requirements/$profile.lock
[ -f "$lock" ] || { echo "error: no lock file for profile '$profile': $lock" >&2; exit 2; }

# make puts .venv/bin first; the environment is rebuilt with the interpreter it was built from.
PATH=${PATH//"$PWD/.venv/bin:"/}

find_python() {
  for name in ${PYTHON:-python3.11 python3 python}; do
    if "$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) or sys.implementation.name != "cpython")' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  found=$(python3 --version 2>/dev/null || echo "no python3")
  cat >&2 <<MESSAGE
error: CPython 3.11 is needed, found: ${found}
  The interpreter that runs a program is part of its label, so one minor version is supported.
  Install it (Debian, Ubuntu: apt install python3.11 python3.11-venv; or pyenv install 3.11),
  or name it: make PYTHON=/path/to/python3.11 ...
MESSAGE
  exit 2
}

python=$(find_python)
echo "Building .venv for profile $profile with $("$python" --version) (a few minutes, once)"
rm -rf .venv
"$python" -m venv .venv || {
  echo "error: $python cannot make a virtual environment; on Debian: apt install python3.11-venv" >&2
  exit 2
}
pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }

if [ "$profile" != a100 ]; then
  echo "[1/3] PyTorch, CPU build"
  if ! pip install -qq --no-deps -r requirements/torch-cpu.lock 2>.venv/torch.log; then
    pip install -qq --no-deps -r requirements/torch-cpu.lock \
      --index-url https://download.pytorch.org/whl/cpu || {
      cat .venv/torch.log >&2
      echo "error: PyTorch's CPU build is neither in pip's configured sources nor to be had from PyTorch's index" >&2
      exit 2
    }
  fi
fi
echo "[2/3] locked packages ($(grep -c '==' "$lock"))"
pip install -qq --no-deps --require-hashes -r "$lock"
echo "[3/3] ouroboros"
pip install -qq --no-deps --no-build-isolation --editable .
touch ".venv/.installed-$profile"
