"""Draw loss and validation figure of a training from its logs."""

import argparse

from lvt_dense.commands.cli import command


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', help='folder of the training')
    parser.add_argument('--metric', default='mIoU', help='as the log names it')
    parser.add_argument('--out', required=True, help='.png or .svg file')
    return parser.parse_args()


@command
def main() -> None:
    """Parse, draw."""
    args = parse_args()
    from lvt_dense.visualization.curves import draw_curves

    draw_curves(args.work_dir, args.metric, args.out)


if __name__ == '__main__':
    main()
