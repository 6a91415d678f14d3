"""Measure latency, throughput and memory, of prediction or of training.

Example:
    lvt-dense benchmark emo_1m mobilevit_xxs --modes eager onnxruntime
    lvt-dense benchmark configs/ssdlite_emo_1m_320_coco.py --train
"""

import argparse

from lvt_dense.commands.arguments import add_data, add_size, read_config
from lvt_dense.commands.output import Outcome
from lvt_dense.utils.errors import UserError

_OF_TRAINING = (
    'steps', 'workers', 'amp', 'compile', 'data_root', 'data', 'cfg_options'
)  # fmt: skip
_OF_PREDICTION = ('against', 'size', 'modes', 'threads', 'rounds')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'subjects',
        nargs='+',
        help='backbones, timm:NAME, configs or exported files',
    )
    parser.add_argument(
        '--batch',
        type=int,
        help='images per call; 1 by default, with --train as configured',
    )
    parser.add_argument(
        '--device', choices=['cpu', 'cuda'], help='device to measure on'
    )
    parser.add_argument(
        '--out', help='.json file to write; with a chart beside it'
    )
    _add_prediction(parser.add_argument_group('prediction'))
    _add_training(parser.add_argument_group('training'))


def _add_prediction(parser: argparse._ArgumentGroup) -> None:
    parser.add_argument(
        '--against', help='model that the others are compared with'
    )
    add_size(parser, 'size of the images; 320x320 by default')
    parser.add_argument(
        '--modes',
        nargs='+',
        help='eager (default), folded, channels_last, compile, cudagraph, '
        'fp16, bf16, onnxruntime, openvino, openvino_bf16',
    )
    parser.add_argument(
        '--threads', type=int, help='threads of each model; 1 by default'
    )
    parser.add_argument(
        '--rounds', type=int, help='calls of each model; 20 by default'
    )


def _add_training(parser: argparse._ArgumentGroup) -> None:
    parser.add_argument(
        '--train',
        action='store_true',
        help='measure the training steps of a config, and their parts; '
        'without data, scenes are rendered',
    )
    parser.add_argument(
        '--steps', type=int, help='training steps; 20 by default'
    )
    parser.add_argument('--workers', type=int, help='processes that load data')
    parser.add_argument(
        '--amp',
        nargs='?',
        const='fp16',
        choices=['fp16', 'bf16'],
        help='mixed precision',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        default=None,
        help='compile backbone and neck',
    )
    add_data(parser)


def run(args: argparse.Namespace) -> Outcome:
    """Measure, and print the table."""
    unused = _OF_PREDICTION if args.train else _OF_TRAINING
    for name in unused:
        if getattr(args, name) is not None:
            word = 'without' if args.train else 'with'
            raise UserError(
                f'--{name.replace("_", "-")} is used {word} --train only'
            )
    if args.train:
        return _train(args)
    from lvt_dense.apis.benchmark import benchmark, format_measurements

    names = [args.against] if args.against else []
    batch = 1 if args.batch is None else args.batch
    found = benchmark(
        [*names, *args.subjects],
        size=args.size or (320, 320),
        batch=batch,
        modes=args.modes or ['eager'],
        threads=1 if args.threads is None else args.threads,
        rounds=20 if args.rounds is None else args.rounds,
        device=args.device or 'cpu',
        out=args.out,
    )
    print(format_measurements(found, batch))
    return Outcome(found)


def _train(args: argparse.Namespace) -> Outcome:
    if len(args.subjects) != 1:
        raise UserError('--train measures one config: give a single one')
    (args.config,) = args.subjects
    cfg = read_config(args)
    from lvt_dense.apis.benchmark_training import (
        benchmark_training,
        format_training,
    )

    found = benchmark_training(
        cfg,
        steps=20 if args.steps is None else args.steps,
        has_data=bool(args.data_root or args.data),
        out=args.out,
        device=args.device,
        batch_size=args.batch,
        workers=args.workers,
        amp=args.amp,
        compile=bool(args.compile),
    )
    print(format_training(found))
    return Outcome(found)
