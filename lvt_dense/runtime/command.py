"""Predict with an exported model, without PyTorch.

Example:
    python predict.pyz ssdlite.onnx street.jpg --out pictures
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .choices import DEFAULT_FORMATS, FORMATS, MAX_DRAWN, MERGES
from .errors import InputError

if TYPE_CHECKING:
    from .pipeline import Options, Summary
    from .predictor import Predictor
    from .tiles import Tiling

INTERRUPTED = 130  # as shells say of Ctrl-C


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command, without model and source."""
    parser.add_argument(
        '--out', default='predictions', metavar='DIR', help='output folder'
    )
    parser.add_argument(
        '--format',
        type=_split,
        default=list(DEFAULT_FORMATS),
        metavar='A,B',
        help=f'what to write, separated by commas: {", ".join(FORMATS)}; by '
        f'default {",".join(DEFAULT_FORMATS)}',
    )
    parser.add_argument(
        '--crops',
        action='store_true',
        help='also write a picture of each object',
    )
    parser.add_argument(
        '--score-thr',
        type=_threshold,
        metavar='SCORE',
        help='lowest score to keep, or best for the threshold with the best '
        'F1; by default that of the model',
    )
    parser.add_argument(
        '--classes',
        type=_split,
        metavar='A,B',
        help='classes to keep, separated by commas',
    )
    parser.add_argument(
        '--max-drawn',
        type=_count,
        default=MAX_DRAWN,
        metavar='N',
        help='number of objects that are drawn in an image, the best ones; '
        f'by default {MAX_DRAWN}',
    )
    _add_data(parser)
    add_tiles(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--camera',
        metavar='PATH',
        help="calibration file with KITTI's P2, for 3D models, or a folder "
        'with one for each image',
    )
    parser.add_argument(
        '--annotations',
        metavar='FILE',
        help='COCO annotations whose image numbers --format coco takes',
    )
    parser.add_argument(
        '--batch-size',
        type=_count,
        default=1,
        metavar='N',
        help='images that are predicted at once',
    )
    parser.add_argument(
        '--limit', type=_count, metavar='N', help='largest number of images'
    )
    parser.add_argument(
        '--threads',
        type=int,
        default=0,
        metavar='N',
        help="threads of the network's runtime; 0: all cores",
    )


def add_tiles(parser: argparse.ArgumentParser) -> None:
    """Add the options that make a :class:`~lvt_dense.runtime.Tiling`."""
    parser.add_argument(
        '--tiles',
        type=_count,
        metavar='PIXELS',
        help='predict on overlapping tiles of this side, for large images '
        'and small objects',
    )
    parser.add_argument(
        '--overlap',
        type=float,
        metavar='SHARE',
        help='minimum overlap of neighboring tiles; by default 0.2',
    )
    parser.add_argument(
        '--whole',
        action='store_true',
        help='with --tiles, predict on the whole image as well',
    )
    parser.add_argument(
        '--merge',
        choices=MERGES,
        help='with --tiles, boxes of one object: keep the best (nms, the '
        'default), or average them (wbf)',
    )


def tiling_of(
    args: argparse.Namespace, batch_size: int = 1
) -> 'Tiling | None':
    """Return how images are cut into tiles, None for not at all.

    Raises:
        InputError: Options for tiles without ``--tiles``.
    """
    from .tiles import Tiling

    given = dict(overlap=args.overlap, merge=args.merge)
    options: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if args.whole:
        options['whole'] = True
    if args.tiles is None:
        if options:
            raise InputError(f'--{next(iter(options))} needs --tiles PIXELS')
        return None
    return Tiling(args.tiles, batch_size=batch_size, **options)


def options_of(args: argparse.Namespace) -> 'Options':
    """Return the options of a run."""
    from .pipeline import Options

    formats = list(dict.fromkeys(args.format))
    if args.crops and 'crops' not in formats:
        formats.append('crops')
    return Options(
        out=Path(args.out),
        formats=formats,
        score_thr=args.score_thr,
        classes=args.classes,
        tiling=tiling_of(args, args.batch_size),
        batch_size=args.batch_size,
        camera=args.camera,
        annotations=args.annotations,
        max_drawn=args.max_drawn,
    )


def run_on(predictor: 'Predictor', args: argparse.Namespace) -> 'Summary':
    """Predict on the source of the arguments."""
    from .pipeline import predict_source
    from .sources import open_source

    options = options_of(args)
    source = open_source(args.source, args.limit)
    return predict_source(predictor, source, options)


def print_summary(summary: 'Summary', args: argparse.Namespace) -> int:
    """Print what came of a run.

    Returns:
        The exit status: 0, 2 where an image could not be used, or 130 where
        the run was interrupted.
    """
    count, failed = summary.images, len(summary.failures)
    earlier = f' ({summary.resumed} in an earlier run)'
    text = (
        f'{count} of {count + failed} images'
        + (earlier if summary.resumed else '')
        + f', {summary.rate:.1f} a second'
    )
    if not summary.is_complete:
        print(
            f'interrupted after {text}; the same command goes on from there',
            file=sys.stderr,
        )
        return INTERRUPTED
    print(f'{text}: {", ".join(options_of(args).formats)} in {args.out}')
    return 2 if failed else 0


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog='predict',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('model', help='file written by lvt-dense export')
    parser.add_argument('source', help=SOURCES)
    add_arguments(parser)
    args = parser.parse_args(words)
    from .predictor import Predictor

    try:
        predictor = Predictor(args.model, args.threads)
        return print_summary(run_on(predictor, args), args)
    except (OSError, InputError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2


SOURCES = (
    'image, folder, glob pattern, video, number of a camera, or URL of a '
    'stream'
)


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(',') if word.strip()]


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f'{text} is no positive number')
    return int(text)


def _threshold(text: str) -> float | str:
    if text == 'best':
        return text
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text} is no score: give a number, or best'
        ) from None
