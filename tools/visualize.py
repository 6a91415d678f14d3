"""Draw predictions, beside the ground truth where there is one."""

import argparse

from mmengine.config import DictAction

from lvt_dense.commands.cli import command
from lvt_dense.config import load_config, set_data_root


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path, or package::name')
    parser.add_argument('checkpoint', help='file written by tools/train.py')
    parser.add_argument(
        'source', help='image, folder or glob pattern; or train, val, test'
    )
    parser.add_argument('--out', required=True, help='folder of the results')
    parser.add_argument(
        '--annotations', help='COCO .json, or a folder of label maps'
    )
    parser.add_argument('--data-root', help='another copy of the data set')
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--score-thr', type=float, default=0.3)
    parser.add_argument('--opacity', type=float, help='of overlays, 0 to 1')
    parser.add_argument('--limit', type=int, help='number of images at most')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ...')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='K=V'
    )
    return parser.parse_args()


@command
def main() -> None:
    """Parse, load, draw."""
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    if args.data_root:
        set_data_root(cfg, args.data_root)
    from lvt_dense.apis.visualize import visualize

    records = visualize(
        cfg,
        args.checkpoint,
        args.source,
        args.out,
        annotations=args.annotations,
        batch_size=args.batch_size,
        score_thr=args.score_thr,
        opacity=args.opacity,
        limit=args.limit,
        device=args.device,
    )
    print(f'\n{len(records)} pictures and predictions.json in {args.out}')


if __name__ == '__main__':
    main()
