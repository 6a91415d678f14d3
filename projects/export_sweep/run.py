"""Export every config of ours, or configs with a backbone swapped in.

Example:
    python projects/export_sweep/run.py
    python projects/export_sweep/run.py --swap emo_1m --every 10
    python projects/export_sweep/run.py --format coreml
"""

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from swap_sweep.options import add_sweep_options

from lvt_dense.commands.parser import command


def parse_args() -> argparse.Namespace:
    """Read the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--swap',
        default='',
        metavar='BACKBONE',
        help='swap this one into configs of --packages',
    )
    parser.add_argument(
        '--packages',
        nargs='+',
        metavar='NAME',
        help='whose configs; lvt_dense, or mmdet and mmseg with --swap',
    )
    parser.add_argument(
        '--format',
        default='onnx',
        choices=['onnx', 'coreml', 'executorch', 'ncnn', 'litert'],
        help='format of the exported files',
    )
    add_sweep_options(parser, out='work_dirs/export_sweep', timeout=600.0)
    return parser.parse_args()


@command
def main() -> None:
    """Sweep, write the tables, print the summary."""
    args = parse_args()
    from export_sweep.trial import examine_export, summarize
    from swap_sweep.sweep import sweep_packages

    own = ['mmdet', 'mmseg'] if args.swap else ['lvt_dense']
    packages = args.packages or own
    task = partial(examine_export, kind=args.format)
    print(summarize(sweep_packages(args, packages, args.swap, task)))


if __name__ == '__main__':
    main()
