"""Arguments that several commands take, and the config that they make."""

import argparse
import os
from typing import TYPE_CHECKING

from lvt_dense.commands.cli import ConfigOptions

if TYPE_CHECKING:
    from mmengine.config import Config


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the config and what changes it; see :func:`read_config`."""
    parser.add_argument('config', help='path, or package::name')
    parser.add_argument('--data-root', help='another copy of the data set')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override the config, such as train_dataloader.batch_size=8',
    )


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add what starts several processes; see :func:`set_local_rank`."""
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


def read_config(args: argparse.Namespace) -> 'Config':
    """Load the config, swap ``--backbone`` in, apply the options.

    Raises:
        UserError: Some of it does not exist or does not fit.
    """
    from lvt_dense.config import load_config, set_data_root

    cfg = load_config(args.config)
    if getattr(args, 'backbone', None):
        from lvt_dense.swap import swap_backbone

        cfg = swap_backbone(cfg, args.backbone)
    cfg = load_config(cfg, args.cfg_options)
    if args.data_root:
        set_data_root(cfg, args.data_root)
    return cfg


def set_local_rank(args: argparse.Namespace) -> None:
    """Hand the launcher's rank on in the way that MMEngine reads it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
