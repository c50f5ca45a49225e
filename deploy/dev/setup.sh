#!/usr/bin/env bash
# Creates .venv and installs the locked dependencies: `setup.sh runtime` or `setup.sh dev`. Does nothing if up to date.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
kind=${1:-runtime}
case $kind in
    runtime) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "setup.sh: $kind is not runtime or dev" >&2; exit 2 ;;
esac
stamp=.venv/.installed
wanted=$(cat requirements-bootstrap.lock "$lock" pyproject.toml | sha256sum | cut -d' ' -f1)
if [ -f "$stamp" ] && { grep -qx "$kind $wanted" "$stamp" || { [ "$kind" = runtime ] && grep -qx "runtime-of-dev $wanted" "$stamp"; }; }; then
    exit 0
fi
exec 9>.setup.lock
flock 9

python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
    echo "Penstock needs Python 3.11 to 3.13, which $python is not. Install it, or set PYTHON, e.g. PYTHON=python3.11." >&2
    exit 1
fi
if [ ! -x .venv/bin/python ]; then
    echo "setup: creating .venv" >&2
    if ! "$python" -m venv .venv >/tmp/penstock-venv.$$ 2>&1; then
        rm -rf .venv
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
            "$python" -m venv .venv
        else
            cat /tmp/penstock-venv.$$ >&2
            echo "Python's venv module is incomplete: run 'apt-get install python3-venv' as root." >&2
            exit 1
        fi
    fi
    rm -f /tmp/penstock-venv.$$
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
if ! .venv/bin/uv --version >/dev/null 2>&1 || ! .venv/bin/python -c 'import setuptools' 2>/dev/null; then
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    .venv/bin/python -m pip install --quiet --require-hashes -r requirements-bootstrap.lock
fi
echo "setup: installing $lock" >&2
.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r "$lock"
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
# Compiled here, because in the sandbox these folders are read-only and each import would compile them again.
.venv/bin/python -m compileall -q -j 0 .venv/lib/python3.*/site-packages \
    core threads gateway sandbox assets sensors dagster_project >/dev/null 2>&1 || true
{
    echo "$kind $wanted"
    if [ "$kind" = dev ]; then
        echo "runtime-of-dev $(cat requirements-bootstrap.lock requirements.lock pyproject.toml | sha256sum | cut -d' ' -f1)"
    fi
} >"$stamp"
