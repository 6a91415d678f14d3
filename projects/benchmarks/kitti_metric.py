"""Time of the KITTI evaluation for a split of full size, on one core.

    python tools/make_demo_data.py --format kitti --out data/kitti --images 200
    python projects/benchmarks/kitti_metric.py data/kitti/training/label_2

The labels are repeated up to the number of frames; the detections are the
labels moved at random, every third of them twice.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lvt_dense.datasets.kitti.labels import KittiObjects, read_labels
from lvt_dense.evaluation.kitti.average_precision import evaluate_kitti


def detect(labels: KittiObjects, rng: np.random.Generator) -> KittiObjects:
    """Noisy copies of labels, with scores."""
    found = labels[~labels.is_type('DontCare')]
    found = KittiObjects.concatenate([found, found[::3]])
    size = len(found)
    return replace(
        found,
        alphas=found.alphas + rng.normal(0, 0.1, size),
        bboxes=found.bboxes + rng.normal(0, 3, (size, 4)),
        boxes_3d=found.boxes_3d + rng.normal(0, 0.1, (size, 7)),
        scores=rng.random(size),
    )


def main() -> None:
    """Print the seconds and one figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('labels', type=Path, help='folder of label files')
    parser.add_argument('--frames', type=int, default=3769)
    args = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(args.labels.glob('*.txt'))
    read = [read_labels(file) for file in files]
    labels = [read[i % len(read)] for i in range(args.frames)]
    rng = np.random.default_rng(0)
    results = [detect(part, rng) for part in labels]
    start = time.process_time()
    scores = evaluate_kitti(labels, results)
    seconds = time.process_time() - start
    score = scores['car_3d']['moderate']['R40']
    print(f'{args.frames} frames: {seconds:.1f} s; Car 3D: {score:.2f}')


if __name__ == '__main__':
    main()
