r"""Swap a backbone into a config of MMDetection, MMSegmentation or ours.

Example:
    lvt-dense swap mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py \
        --backbone emo_5m --out mask_rcnn_emo.py
"""

import argparse

from lvt_dense.commands.output import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('config', help='path or package::name')
    parser.add_argument(
        '--backbone',
        required=True,
        help='name of the backbone, such as emo_5m or timm:NAME',
    )
    parser.add_argument(
        '--pretrained',
        metavar='WEIGHTS',
        help='weights of the backbone: "official" for the published ones, a '
        'file or a URL; "none" (default) for random weights',
    )
    parser.add_argument(
        '--out',
        help='config file to write; by default, the full config is printed',
    )


def run(args: argparse.Namespace) -> Outcome:
    """Swap, then print or write."""
    from lvt_dense.swap import swap_backbone, write_config

    cfg = swap_backbone(args.config, args.backbone, pretrained=args.pretrained)
    if args.out:
        comment = f'{args.config} with {args.backbone}'
        write_config(cfg, args.config, args.out, comment)
    else:
        print(cfg.pretty_text)
    return Outcome(dict(file=args.out, config=cfg.to_dict()))
