"""Try a backbone in every config that MMDetection and MMSegmentation ship."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from swap_sweep.options import add_sweep_options

from lvt_dense.commands.parser import command


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--backbone', default='emo_1m')
    parser.add_argument(
        '--packages', nargs='+', default=['mmdet', 'mmseg'], metavar='NAME'
    )
    add_sweep_options(parser, out='work_dirs/swap_sweep', timeout=120.0)
    return parser.parse_args()


@command
def main() -> None:
    """Sweep, write the tables, print the summary."""
    args = parse_args()
    from swap_sweep.sweep import summarize, sweep_packages

    print(summarize(sweep_packages(args, args.packages, args.backbone)))


if __name__ == '__main__':
    main()
