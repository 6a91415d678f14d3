"""Arguments that several commands take, and the config that they make."""

import argparse
import logging
import os
from typing import TYPE_CHECKING, Any

from lvt_dense.commands.parser import ConfigOptions
from lvt_dense.utils.dist import is_first_process
from lvt_dense.utils.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

    from lvt_dense.runtime import Tiling


def add_config(
    parser: argparse.ArgumentParser, optional: bool = False
) -> None:
    """Add the config and options that change it; see :func:`read_config`.

    Args:
        parser: Parser of a command.
        optional: Whether the config may be left out.
    """
    parser.add_argument(
        'config',
        nargs='?' if optional else None,
        help='path, package::name, or the work directory of a training',
    )
    add_data(parser)


def add_data(parser: argparse._ActionsContainer) -> None:
    """Add the options that change a config; see :func:`read_config`."""
    parser.add_argument('--data-root', help='folder of the data set')
    parser.add_argument(
        '--data',
        metavar='DIR',
        help='folder of your own data in COCO, YOLO, VOC, ... format',
    )
    parser.add_argument(
        '--classes',
        metavar='A,B',
        help='classes of --data to use, separated by commas',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override the config, such as train_dataloader.batch_size=8',
    )


def add_checkpoint(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Add the checkpoint of a config, which a work directory needs not."""
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help=f'{help_text}; the best one where CONFIG is the work directory '
        'of a training',
    )


def use_run(args: argparse.Namespace) -> None:
    """Find config and checkpoint in the work directory of a training.

    Args:
        args: Arguments of a command; changed in place.

    Raises:
        UserError: Neither is given, or they are not there.
    """
    if not hasattr(args, 'checkpoint') or args.checkpoint is not None:
        return
    from lvt_dense.config import find_run

    if not os.path.isdir(args.config):
        raise UserError(
            f'{args.config}: give a checkpoint as well, or the work directory '
            'of a training in place of both'
        )
    args.config, args.checkpoint = find_run(args.config)


def add_size(
    parser: argparse._ActionsContainer, help_text: str, dynamic: bool = False
) -> None:
    """Add the height and width of an image as ``--size HxW``."""
    parser.add_argument(
        '--size',
        type=_parse_dynamic_size if dynamic else parse_size,
        metavar='HxW',
        help=help_text,
    )


def _parse_dynamic_size(text: str) -> tuple[int, int] | str:
    return text if text == 'dynamic' else parse_size(text)


def parse_size(text: str) -> tuple[int, int]:
    """Parse the height and width of an image, such as ``320x320``."""
    height, _, width = text.lower().partition('x')
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(
            f'{text} is no size: give HxW, such as 320x320'
        )
    return int(height), int(width)


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add the options of distributed runs; see :func:`set_local_rank`."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes of a distributed run',
    )
    parser.add_argument(
        '--local-rank',
        '--local_rank',
        type=int,
        default=0,
        help='set by the launcher',
    )


def read_config(
    args: argparse.Namespace, report_dir: str | None = None
) -> 'Config':
    """Load the config, swap ``--backbone`` in, apply options and ``--data``.

    A work directory stands for its config and checkpoint, see
    :func:`use_run`.

    Args:
        args: Arguments of the command.
        report_dir: Name of a folder in the work directory for the summary
            and the pictures of ``--data``; None writes none.

    Raises:
        UserError: Some of it does not exist or does not fit.
    """
    from lvt_dense.config import load_config, set_data_root, value_at

    use_run(args)
    cfg = load_config(args.config)
    if getattr(args, 'backbone', None):
        from lvt_dense.swap import swap_backbone

        pretrained = getattr(args, 'pretrained', None)
        cfg = swap_backbone(cfg, args.backbone, pretrained=pretrained)
    cfg = load_config(cfg, args.cfg_options)
    _fit_bands(cfg)
    if args.data_root:
        set_data_root(cfg, args.data_root)
    options = args.cfg_options or {}
    before = {key: value_at(cfg, key) for key in options}
    _use_data(cfg, args, report_dir)
    _note_replaced(cfg, before)
    return cfg


def _note_replaced(cfg: 'Config', options: dict[str, Any]) -> None:
    """Name the options in whose place ``--data`` has put something else."""
    from mmengine.logging import print_log

    from lvt_dense.config import value_at

    for key, value in options.items():
        found = value_at(cfg, key)
        if found is not None and found != value:
            print_log(
                f'--cfg-options {key}={value} has no effect: with --data, it '
                f'is {str(found)[:80]}',
                logger='current',
                level=logging.WARNING,
            )


def _fit_bands(cfg: 'Config') -> None:
    from mmengine.logging import print_log

    from lvt_dense.engine.bands import fit_bands

    for line in fit_bands(cfg):
        print_log(line, logger='current')


def _use_data(
    cfg: 'Config', args: argparse.Namespace, report_dir: str | None
) -> None:
    if args.data is None:
        if args.classes:
            raise UserError('--classes needs --data DIR')
        if getattr(args, 'trains_on_tiles', False) and args.tiles:
            raise UserError('--tiles needs --data DIR')
        return
    if args.data_root:
        raise UserError(
            '--data DIR reads data of your own, --data-root DIR another copy '
            "of the recipe's data set: give one of them"
        )
    from lvt_dense.datasets.own import use_data
    from lvt_dense.engine.checkpoint_data import was_trained_on
    from lvt_dense.engine.runner import find_work_dir

    folder = None
    if report_dir is not None and is_first_process():
        folder = find_work_dir(cfg, args.work_dir) / report_dir
    checkpoint = getattr(args, 'checkpoint', None)
    use_data(
        cfg,
        args.data,
        class_names(args),
        folder,
        to_train=checkpoint is None,
        whole=checkpoint is not None
        and not was_trained_on(checkpoint, args.data),
        tiling=training_tiles(args),
    )


def class_names(args: argparse.Namespace) -> list[str] | None:
    """Return the names of ``--classes``, or None."""
    names = args.classes and [n.strip() for n in args.classes.split(',')]
    return names or None


def training_tiles(args: argparse.Namespace) -> 'Tiling | None':
    """Return the tiles that images of ``--data`` are cut into, or None.

    Those of other commands are tiles of whole images to predict on.
    """
    if not getattr(args, 'trains_on_tiles', False) or args.tiles is None:
        return None
    from lvt_dense.runtime import Tiling

    return Tiling(args.tiles, args.overlap)


def set_local_rank(args: argparse.Namespace) -> None:
    """Set the environment variable from which MMEngine reads the rank."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
