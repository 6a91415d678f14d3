r"""Predict with an exported model, a config or a published model.

An exported model runs without PyTorch.

Example:
    lvt-dense predict ssdlite.onnx street.jpg --out pictures
    lvt-dense predict configs/ssdlite_mobilevit_320_coco.py epoch_200.pth \
        street.mp4 --format video
    lvt-dense predict ssdlite_mobilevit_320_coco street.jpg
"""

import argparse

from lvt_dense.commands.output import Outcome
from lvt_dense.commands.parser import ConfigOptions
from lvt_dense.runtime import command
from lvt_dense.utils.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'model',
        help='exported file; config, followed by its checkpoint; work '
        'directory of a training; or name of a published model (lvt-dense '
        'weights list)',
    )
    parser.add_argument(
        'source',
        nargs='+',
        metavar='[CHECKPOINT] SOURCE',
        help=command.SOURCES,
    )
    command.add_arguments(parser)
    parser.add_argument(
        '--device', help='cpu, cuda, cuda:1, ...; for models in PyTorch'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override the config',
    )


def run(args: argparse.Namespace) -> Outcome:
    """Predict."""
    from lvt_dense.apis.load import load

    *checkpoint, source = args.source
    if len(checkpoint) > 1:
        raise UserError(
            f'{len(args.source) + 1} arguments: give MODEL SOURCE or CONFIG '
            'CHECKPOINT SOURCE, and put a glob pattern in quotes'
        )
    args.source = source
    try:
        model = load(
            args.model,
            checkpoint[0] if checkpoint else None,
            device=args.device,
            threads=args.threads,
            cfg_options=args.cfg_options,
        )
        summary = command.run_on(model, args)
        status = command.print_summary(summary, args)
        return Outcome(dict(folder=args.out, **vars(summary)), status)
    except OSError as error:
        raise UserError(str(error)) from error
