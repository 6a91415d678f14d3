"""Measure latency, throughput and memory.

Example:
    lvt-dense benchmark emo_1m mobilevit_xxs --modes eager onnxruntime
"""

import argparse

from lvt_dense.commands.arguments import add_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'subjects',
        nargs='+',
        help='backbones, timm:NAME, configs or exported files',
    )
    parser.add_argument(
        '--against', help='model that the others are compared with'
    )
    add_size(parser, 'size of the images; 320x320 by default')
    parser.add_argument('--batch', type=int, default=1, help='images per call')
    parser.add_argument(
        '--modes',
        nargs='+',
        default=['eager'],
        help='eager, folded, channels_last, compile, fp16, bf16, '
        'onnxruntime, openvino, openvino_bf16',
    )
    parser.add_argument(
        '--threads', type=int, default=1, help='threads of each model'
    )
    parser.add_argument(
        '--rounds', type=int, default=20, help='calls of each model'
    )
    parser.add_argument(
        '--device',
        default='cpu',
        choices=['cpu', 'cuda'],
        help='device to measure on',
    )
    parser.add_argument(
        '--out', help='.json file to write, with a chart beside it'
    )


def run(args: argparse.Namespace) -> None:
    """Measure, and print the table."""
    from lvt_dense.apis.benchmark import benchmark, format_table

    names = [args.against] if args.against else []
    found = benchmark(
        [*names, *args.subjects],
        size=args.size or (320, 320),
        batch=args.batch,
        modes=args.modes,
        threads=args.threads,
        rounds=args.rounds,
        device=args.device,
        out=args.out,
    )
    print(format_table(found, args.batch))
