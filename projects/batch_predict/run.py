"""Predict on many images in parallel with Ray Data, and write Parquet.

A run that ended early goes on when the command is given again.

Example:
    python projects/batch_predict/run.py model.onnx images results --workers 8
    python projects/batch_predict/run.py model.onnx images results \
        --workers 800 --address auto
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lvt_dense.commands.parser import command
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.optional import import_optional


def parse_args() -> argparse.Namespace:
    """Read the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('model', help='exported model: .onnx or .xml')
    parser.add_argument(
        'images', help='folder of images, or a .txt file of their paths'
    )
    parser.add_argument('out', help='folder of the results')
    parser.add_argument(
        '--workers',
        type=int,
        default=1,
        help='processes, each with a predictor of one thread (default: 1)',
    )
    parser.add_argument(
        '--address',
        help="address of a Ray cluster, such as 'auto' on one of its "
        'machines; by default this machine alone',
    )
    parser.add_argument(
        '--shard-size',
        type=int,
        default=1000,
        help='images a Parquet file (default: 1000)',
    )
    parser.add_argument(
        '--score-thr', type=float, help="lowest score (default: the model's)"
    )
    parser.add_argument(
        '--camera',
        help='calibration file of KITTI, or a folder of them, for monocular '
        '3D models',
    )
    return parser.parse_args()


@command
def main() -> None:
    """Predict on the shards that are not done, then merge the journal."""
    args = parse_args()
    for name in ('workers', 'shard_size'):
        if getattr(args, name) < 1:
            option = name.replace('_', '-')
            raise UserError(f'--{option} {getattr(args, name)}: 1 or more')
    for name in ('pyarrow', 'ray'):
        import_optional(name, 'batch_predict', package="'ray[data]'")
    threshold = check_model(args.model, args.camera)
    if args.score_thr is not None:
        threshold = args.score_thr
    predict(args, threshold)


def predict(args: argparse.Namespace, threshold: float) -> None:
    """Predict with the options of the command."""
    from batch_predict.shards import Run, digest
    from batch_predict.tables import check_images

    model, out = Path(args.model).resolve(), Path(args.out).resolve()
    camera = args.camera and str(Path(args.camera).resolve())
    settings = dict(
        model=digest(model, model.with_suffix('.bin')),
        score_thr=threshold,
        camera=camera,
    )
    run = Run(out, Path(args.images).resolve(), settings, args.shard_size)
    if run.done:
        print(f'{len(run.done)} of {len(run.shards)} shards are done already')
    if run.todo:
        arguments = dict(
            model=str(model),
            folder=str(run.folder),
            out=str(out),
            score_thr=threshold,
            camera=camera,
        )
        work(run, args.workers, args.address, arguments)
    check_images([out / shard.file for shard in run.shards], run.images)
    summary = run.merge()
    print(
        f'{summary["images"]} images in {summary["shards"]} files in '
        f'{args.out}; {summary["failures"]} failed, see failures.csv'
    )


def work(
    run: Any, workers: int, address: str | None, arguments: dict[str, Any]
) -> None:
    """Do what is left of a run, and say how it goes."""
    from batch_predict.workers import predict_shards

    begin, count = time.perf_counter(), 0
    for entry in predict_shards(run, workers, address, arguments):
        run.note(entry)
        count += entry['images']
        seconds = time.perf_counter() - begin
        print(
            f'{len(run.done)} of {len(run.shards)} shards, '
            f'{count / seconds:.1f} images a second',
            flush=True,
        )


def check_model(model: str, camera: str | None) -> float:
    """Check that a model can be run, and return its score threshold.

    Raises:
        UserError: It gives no results, or needs a camera.
    """
    from lvt_dense.runtime import Predictor

    predictor = Predictor(model, threads=1)
    task = predictor.info['task']
    if task == 'raw':
        raise UserError(
            f"{model} gives its heads' maps: export it without --raw"
        )
    if (task == 'mono3d') != (camera is not None):
        needs = 'needs' if task == 'mono3d' else 'takes no'
        raise UserError(f'{model} {needs} --camera, calibration of images')
    if camera is not None and not Path(camera).exists():
        raise UserError(f'--camera {camera} does not exist')
    return predictor.score_threshold()


if __name__ == '__main__':
    main()
