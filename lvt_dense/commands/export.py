r"""Export a trained model, checked against PyTorch.

Example:
    lvt-dense export configs/ssdlite_mobilevit_320_coco.py ssdlite.pth \
        --out ssdlite.onnx
    lvt-dense export work_dirs/mine
"""

import argparse
from pathlib import Path

from lvt_dense.commands.arguments import (
    add_checkpoint,
    add_config,
    add_size,
    read_config,
)
from lvt_dense.commands.output import Outcome
from lvt_dense.utils.errors import UserError

_SUFFIXES = dict(
    onnx='.onnx',
    openvino='.xml',
    coreml='.mlpackage',
    executorch='.pte',
    ncnn='.ncnn',
    litert='.tflite',
    web='_web',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_config(parser)
    add_checkpoint(parser, 'weights of the model')
    _add_format(parser)
    add_size(
        parser,
        'size of the input, or dynamic; by default that of the test pipeline',
        dynamic=True,
    )
    parser.add_argument(
        '--color',
        choices=['rgb', 'bgr'],
        default='rgb',
        help='channel order of the input',
    )
    parser.add_argument(
        '--score-thr',
        type=_parse_score,
        metavar='THR',
        help='lowest score worth drawing, for the metadata of the file; best '
        'takes that of the best F1, as "lvt-dense test --report" found it; '
        '0.3 by default',
    )
    parser.add_argument(
        '--raw',
        action='store_true',
        help='export the outputs of the heads, without decoding and NMS',
    )
    _add_companions(parser)
    _add_images(parser)
    parser.add_argument(
        '--keep-float',
        nargs='+',
        default=[],
        metavar='PATTERN',
        help='layers that int8 leaves in float: regular expressions of their '
        'names, or auto for those that it harms most',
    )
    parser.add_argument(
        '--tolerance',
        type=float,
        help='largest difference from PyTorch; 1e-4 for fp32',
    )


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--out',
        help='file to write: .onnx, .xml, .mlpackage, .pte, .ncnn or .tflite; '
        'for --format web a folder; by default in the work directory, if that '
        'is given',
    )
    parser.add_argument(
        '--format',
        choices=list(_SUFFIXES),
        default='onnx',
        help='file format',
    )
    parser.add_argument(
        '--precision',
        choices=['fp32', 'fp16', 'bf16', 'int8'],
        default='fp32',
        help='all but fp32 need --format openvino, or coreml, ncnn or '
        'litert for fp16',
    )


def _parse_score(text: str) -> float | str:
    if text == 'best':
        return text
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(
            f'{text} is no threshold: give best, or a number from 0 to 1'
        )
    return value


def _add_companions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--with-predictor',
        action='store_true',
        help='also write predict.pyz beside the file, which predicts with '
        'it where lvt_dense is not installed',
    )
    parser.add_argument(
        '--ort-web',
        metavar='DIR',
        help="folder of npm's package onnxruntime-web, for --format web; by "
        'default that in node_modules',
    )


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--images',
        nargs='+',
        default=[],
        metavar='IMAGE',
        help='images to compare with PyTorch on; by default rendered ones',
    )
    parser.add_argument(
        '--calibration',
        metavar='DIR',
        help='folder of calibration images for int8',
    )


def _choose_out(args: argparse.Namespace) -> None:
    if args.out is not None:
        return
    folder = Path(args.config)
    if args.checkpoint is not None or not folder.is_dir():
        raise UserError('--out FILE: name the file to write')
    name = folder.resolve().name
    args.out = str(folder / f'{name}{_SUFFIXES[args.format]}')


def run(args: argparse.Namespace) -> Outcome:
    """Export."""
    _choose_out(args)
    cfg = read_config(args)
    from lvt_dense.apis.export import export
    from lvt_dense.deploy.parity import COUNTS

    score_thr = args.score_thr
    if score_thr == 'best':
        from lvt_dense.apis.report import best_score

        score_thr = best_score(cfg, args.checkpoint)
        print(f'score threshold of the best F1: {score_thr:.3f}')
    differences = export(
        cfg,
        args.checkpoint,
        args.out,
        kind=args.format,
        precision=args.precision,
        size=args.size,
        color=args.color,
        raw=args.raw,
        images=args.images,
        calibration=args.calibration,
        keep_float=args.keep_float,
        tolerance=args.tolerance,
        score_thr=score_thr,
        ort_web=args.ort_web,
    )
    if args.with_predictor:
        from lvt_dense.deploy.standalone import write_predictor

        print(write_predictor(Path(args.out).parent))
    if not differences:
        print(
            f'{args.out}: not compared with PyTorch, because this machine '
            'cannot run its format'
        )
        return Outcome(dict(file=args.out, differences=None))
    outcome = Outcome(dict(file=args.out, differences=dict(differences)))
    counts = {k: differences.pop(k) for k in COUNTS if k in differences}
    gaps = ', '.join(f'{k} {v:.2g}' for k, v in differences.items())
    of = ', '.join(f'{v:.0f} {k}' for k, v in counts.items())
    print(
        f'{args.out}: differences from PyTorch: {gaps}'
        + (f' (of {of})' if of else '')
    )
    if counts.get('detections') == 0:
        print(
            'No object was found in the images, so none was compared: give '
            '--images with objects of your classes'
        )
    return outcome
