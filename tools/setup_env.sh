#!/usr/bin/env bash
# Usage: tools/setup_env.sh VENV STACK    (STACK: onedl, openmmlab or oldest)
# Makes a virtual environment with the pinned stack and this package in it,
# without a compiler: mmcv comes without its compiled ops, in whose place
# lvt_dense.ops steps. PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(realpath -m "$1") stack=$2
packages=requirements/$stack-mm.txt
if [ ! -f "$packages" ]; then
    echo "error: STACK=$stack; choose onedl, openmmlab or oldest" >&2
    exit 2
fi
stamp=$venv/.stamp
wanted=$(cat requirements/*.txt setup.py pyproject.toml "$0" | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
fits() { command -v "$1" >/dev/null &&
    "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))'; }
candidates=${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}
for python in $candidates ''; do
    if [ -z "$python" ]; then
        echo 'error: no Python >= 3.10 with venv; name one: PYTHON=...' >&2
        exit 2
    fi
    if fits "$python"; then break; fi
done
if [ ! -x "$venv/bin/python" ]; then
    "$python" -m venv "$venv"
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

echo "Environment $venv ($("$venv/bin/python" --version), $stack): torch"
pip install -q -r "requirements/$stack.txt" -r requirements/dev.txt
echo "Environment $venv: the mm packages"
# Not from pip's cache, where an mmcv built with ops for another torch may lie.
pip install -q --no-cache-dir --no-deps -r "$packages"
pip install -q --no-deps -e .
(cd / && "$venv/bin/python" -c \
    'import cv2, mmdet.datasets, mmseg.datasets, pycocotools.mask, lvt_dense' >/dev/null)
echo "$wanted" > "$stamp"
