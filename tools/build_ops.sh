#!/usr/bin/env bash
# Usage: tools/build_ops.sh VENV STACK
# Puts mmcv with its compiled ops into an environment of setup_env.sh. Takes
# about 15 minutes on two cores, once for each version of Python, torch and
# mmcv: the wheel is kept in ~/.cache/lvt_dense.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$(realpath "$1") stack=$2
has_ops() { (cd / && "$venv/bin/python" -c '
import sys
import torch
from lvt_dense.ops import using_compiled
sys.exit(not using_compiled())'); }
if has_ops; then exit 0; fi
if ! command -v "${CXX:-c++}" >/dev/null; then
    echo 'error: no C++ compiler; install one, such as g++, or set CXX' >&2
    exit 2
fi
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
mmcv=$(sed -nE 's/^((onedl-)?mmcv)(-lite)?(==.+)/\1\4/p' \
    "requirements/$stack-mm.txt")
versions=$("$venv/bin/python" -c 'import sys, torch
print(f"py{sys.version_info[0]}{sys.version_info[1]}-{torch.__version__}")')
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lvt_dense/$mmcv-$versions
if ! compgen -G "$cache/*.whl" >/dev/null; then
    echo "Building $mmcv with its ops; about 15 minutes on two cores"
    pip install -q 'setuptools<81' wheel ninja
    rm -rf "$cache.partial"
    # With --no-build-isolation mmcv finds torch, and without the cache pip
    # cannot hand out a wheel that was built without.
    PATH=$venv/bin:$PATH MMCV_WITH_OPS=1 \
        MAX_JOBS=${MAX_JOBS:-$(getconf _NPROCESSORS_ONLN)} \
        pip wheel -q --no-cache-dir --no-build-isolation --no-deps \
        --no-binary :all: --wheel-dir "$cache.partial" "$mmcv"
    mkdir -p "$(dirname "$cache")"
    mv "$cache.partial" "$cache"
fi
if [ "$stack" = openmmlab ]; then pip uninstall -q -y mmcv-lite; fi
pip install -q --force-reinstall --no-deps "$cache"/*.whl
if ! has_ops; then
    rm -rf "$cache"
    echo "error: $mmcv was built, but its ops do not load" >&2
    exit 1
fi
