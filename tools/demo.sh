#!/usr/bin/env bash
# Usage: PYTHON=.venv/bin/python tools/demo.sh
# Renders road scenes, trains SSDLite with MobileViT-XXS on them, evaluates
# on held-out scenes, and draws predictions beside the ground truth. What is
# done already is not done again; an interrupted training goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
config=configs/ssdlite_mobilevit_xxs_192_demo.py
data=data/demo out=work_dirs/demo
# Sums of floating-point numbers, and so the figures, depend on the threads.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}

if [ ! -d "$data" ]; then
    "$python" tools/make_demo_data.py --format coco --out "$data" --images 480
fi
epochs=$(sed -n 's/^max_epochs = //p' "$config")
final=$out/epoch_$epochs.pth
if [ ! -f "$final" ]; then
    resume=()
    if compgen -G "$out/epoch_*.pth" >/dev/null; then resume=(--resume); fi
    "$python" tools/train.py "$config" --work-dir "$out" "${resume[@]}"
fi
if [ ! -f "$out/metrics.json" ] || [ "$final" -nt "$out/metrics.json" ]; then
    "$python" tools/test.py "$config" "$final" --work-dir "$out" \
        --out "$out/predictions.json" --show-dir "$out/pictures"
fi
"$python" - "$out" <<'PY'
import json
import sys

out = sys.argv[1]
figures = json.load(open(f'{out}/metrics.json'))
print(f"""
mAP@50 on held-out scenes: {figures['coco/bbox_mAP_50']:.3f}
mAP:                       {figures['coco/bbox_mAP']:.3f}
pictures (truth | found):  {out}/pictures
all figures:               {out}/metrics.json
predictions:               {out}/predictions.json
checkpoint and log:        {out}""")
PY
