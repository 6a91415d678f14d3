#!/usr/bin/env bash
# Usage: tools/setup_env.sh VENV STACK    (STACK: onedl or openmmlab)
# Makes a virtual environment with the pinned stack and this package in it.
# mmcv has to find torch while it is built: in pip's isolated build it would
# silently come out without its compiled ops, and pip would cache that.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(realpath -m "$1") stack=$2
export MAX_JOBS=${MAX_JOBS:-$(getconf _NPROCESSORS_ONLN)} MMCV_WITH_OPS=1
requirements=requirements/$stack.txt
if [ ! -f "$requirements" ]; then
    echo "error: STACK=$stack; choose onedl or openmmlab" >&2
    exit 2
fi
stamp=$venv/.stamp
wanted=$(cat requirements/build.txt "$requirements" requirements/dev.txt \
    setup.py pyproject.toml "$0" | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi
python=${PYTHON:-python3.11}
command -v "$python" >/dev/null || python=python3
if [ ! -x "$venv/bin/python" ]; then
    "$python" -m venv "$venv"
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
has_ops() { (cd / && "$venv/bin/python" -c 'import mmcv._ext'); }
pin() { grep -E "^$1==" "$requirements"; }

echo "Environment $venv ($stack): torch and build tools"
pip install -q -r requirements/build.txt
mmcv=$(pin '(onedl-)?mmcv')
engine=$(pin '(onedl-)?mmengine')
echo "Environment $venv ($stack): $mmcv with its ops, about 15 minutes at first"
pip install -q "$engine"
pip install -q --no-build-isolation "$mmcv"
if ! has_ops 2>/dev/null; then
    echo "$mmcv came without its ops (a cached wheel?): building it anew"
    pip install -q --no-build-isolation --no-cache-dir --force-reinstall \
        --no-deps --no-binary :all: "$mmcv"
    has_ops
fi
echo "Environment $venv ($stack): the other packages"
pip install -q --no-build-isolation -r "$requirements"
pip install -q -r requirements/dev.txt
pip install -q --no-build-isolation --no-deps -e .
(cd / && "$venv/bin/python" -c \
    'import cv2, mmcv._ext, mmdet, mmseg, pycocotools.mask, lvt_dense' \
    >/dev/null)
echo "$wanted" > "$stamp"
