r"""Draw Grad-CAM, attention maps or receptive fields of a network.

By default it is Grad-CAM of the detection with the highest score, or of the
largest class of a segmenter, at each level of the backbone.

Example:
    lvt-dense explain configs/ssdlite_mobilevit_320_coco.py ssdlite.pth \
        street.jpg --detection 0 --out explain.png
"""

import argparse

from lvt_dense.commands.arguments import (
    add_checkpoint,
    add_config,
    read_config,
)
from lvt_dense.commands.output import Outcome
from lvt_dense.utils.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_config(parser)
    add_checkpoint(parser, 'file written by lvt-dense train')
    parser.add_argument('image', help='file of an image')
    parser.add_argument(
        '--out', default='explain.png', help='picture to write (.png)'
    )
    parser.add_argument(
        '--detection',
        type=int,
        metavar='N',
        help='number of the detection, 0 has the highest score',
    )
    parser.add_argument(
        '--class',
        dest='class_name',
        metavar='NAME',
        help='class to explain; for a detector, --detection counts the '
        'detections of this class',
    )
    parser.add_argument(
        '--method',
        default='grad-cam',
        help='grad-cam, hires-cam, integrated-gradients or occlusion',
    )
    parser.add_argument(
        '--level', type=int, help='level of the pyramid; all by default'
    )
    views = parser.add_mutually_exclusive_group()
    views.add_argument(
        '--attention',
        type=_parse_point,
        metavar='X,Y',
        help='draw the attention of this pixel instead of Grad-CAM',
    )
    views.add_argument(
        '--receptive-field',
        action='store_true',
        help='draw the receptive field of each level, before and after '
        'training',
    )
    views.add_argument(
        '--similarity',
        action='store_true',
        help='draw how similar the positions on the diagonal of each level '
        'are',
    )
    parser.add_argument(
        '--compare',
        nargs=2,
        action='append',
        default=[],
        metavar=('CONFIG', 'CKPT'),
        help='another model for the same picture; can be given again',
    )


def _parse_point(text: str) -> tuple[float, float]:
    try:
        x, y = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text} is no pixel: give X,Y such as 120,80'
        ) from None
    return x, y


def run(args: argparse.Namespace) -> Outcome:
    """Draw."""
    cfg = read_config(args)
    from lvt_dense.config import load_config

    models = [(cfg, args.checkpoint)]
    models += [(load_config(c), ckpt) for c, ckpt in args.compare]
    other_view = args.attention or args.receptive_field or args.similarity
    chosen = (args.detection, args.class_name, args.level)
    if other_view and any(value is not None for value in chosen):
        raise UserError(
            '--detection, --class and --level belong to Grad-CAM, not to '
            '--attention, --receptive-field or --similarity'
        )
    from lvt_dense.apis import explain as api

    if args.attention:
        lines = api.explain_attention(
            models, args.image, args.out, args.attention
        )
    elif args.receptive_field:
        lines = api.explain_receptive_field(models, args.image, args.out)
    elif args.similarity:
        lines = api.explain_similarity(models, args.image, args.out)
    else:
        lines = api.explain(
            models,
            args.image,
            args.out,
            detection=args.detection,
            class_name=args.class_name,
            method=args.method,
            level=args.level,
        )
    print('\n'.join(lines))
    print(args.out)
    return Outcome(dict(file=args.out, findings=list(lines)))
