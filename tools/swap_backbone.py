"""Swap a backbone into a config of MMDetection, MMSegmentation or ours."""

import argparse

from lvt_dense.commands.cli import command


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path, or package::name')
    parser.add_argument('--backbone', required=True, help='such as emo_5m')
    parser.add_argument('--pretrained', help='checkpoint of the backbone')
    parser.add_argument(
        '--out', help='write a short config; by default it is printed in full'
    )
    return parser.parse_args()


@command
def main() -> None:
    """Swap, then print or write."""
    args = parse_args()
    from lvt_dense.swap import swap_backbone, write_config

    cfg = swap_backbone(args.config, args.backbone, pretrained=args.pretrained)
    if args.out:
        comment = f'{args.config} with {args.backbone}'
        write_config(cfg, args.config, args.out, comment)
    else:
        print(cfg.pretty_text)


if __name__ == '__main__':
    main()
