"""Train a detector, a segmenter or a monocular 3D detector.

Without a config, one is chosen for --data, and written to the work directory.

Example:
    lvt-dense train --data DIR --minutes 10
    lvt-dense train configs/ssdlite_mobilevit_320_coco.py --data-root DIR
"""

import argparse
from typing import TYPE_CHECKING

from lvt_dense.commands.arguments import (
    add_config,
    add_launcher,
    read_config,
    set_local_rank,
)
from lvt_dense.commands.output import Outcome
from lvt_dense.utils import clock
from lvt_dense.utils.dist import is_first_process

if TYPE_CHECKING:
    from mmengine.config import Config

    from lvt_dense.apis.closing import Command

# Options with a value that the next training keeps.
_REPEATED = (
    *('classes', 'backbone', 'epochs', 'batch_size', 'tiles', 'augment'),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_config(parser, optional=True)
    _add_plan(parser)
    _add_size(parser)
    parser.add_argument(
        '--tiles',
        type=int,
        metavar='PIXELS',
        help='cut the images of --data into overlapping tiles of this side',
    )
    parser.add_argument(
        '--overlap',
        type=float,
        default=0.2,
        metavar='SHARE',
        help='minimum overlap of neighboring tiles; by default 0.2',
    )
    parser.set_defaults(trains_on_tiles=True)
    _add_run(parser)
    _add_start(parser)
    _add_teacher(parser)
    add_launcher(parser)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--minutes',
        type=float,
        metavar='M',
        help='total time, from start-up to the last validation, to which the '
        'length of the training is fitted',
    )
    parser.add_argument(
        '--for',
        dest='goal',
        choices=['cpu', 'phone', 'gpu'],
        help='where the model will run, if no config is given; by default '
        'gpu if this machine has one, else cpu',
    )
    parser.add_argument(
        '--task',
        choices=['detection', 'instance', 'semantic', 'mono3d'],
        help='task to train for, if no config is given; by default, it '
        'depends on the labels of --data',
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const=True,
        default=False,
        metavar='CKPT',
        help='continue from CKPT, by default the newest one in the work '
        'directory',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='fp16',
        choices=['fp16', 'bf16'],
        help='train in mixed precision: fp16 (default) on a GPU, bf16 '
        'anywhere',
    )
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile backbone and neck with torch.compile',
    )
    parser.add_argument('--device', help='device: cpu, cuda or cuda:N')
    parser.add_argument('--seed', type=int, help='random seed')
    parser.add_argument(
        '--multi-scale',
        action='store_true',
        help='vary the image size between batches, from 0.5 to 1.5 times that '
        'of the recipe, with about the same number of pixels per batch '
        '(MobileViT)',
    )
    _add_metrics(parser)
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the total batch size',
    )
    parser.add_argument(
        '--on-nan',
        metavar='stop|skip:N',
        help='on a loss that is not finite, stop (default) or skip the batch, '
        'up to N times',
    )
    parser.add_argument(
        '--exact-resume',
        action='store_true',
        help='make the random numbers depend only on seed and step, so that '
        'a training that is resumed gives the same weights as one that was '
        'never stopped',
    )


def _add_start(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--balance',
        action='store_true',
        help='draw images with rare classes more often (repeat factors of '
        'LVIS)',
    )
    parser.add_argument(
        '--augment',
        metavar='PRESET',
        help='augmentation instead of that of the recipe: none, light, '
        'strong, aerial or industrial; "recipe" prints that of the recipe',
    )
    parser.add_argument(
        '--backbone', help='backbone to swap in, such as emo_5m or timm:NAME'
    )
    parser.add_argument(
        '--pretrained',
        metavar='WEIGHTS',
        help='weights of the backbone: "official" for the published ones, '
        '"none" for random ones (then nothing is frozen), a file, a URL, or '
        'a name from "lvt-dense weights list"; by default as configured',
    )
    parser.add_argument(
        '--start',
        metavar='MODEL',
        help='trained model to start from, whose head is adapted to the '
        'classes of the data: a name from "lvt-dense weights list", a '
        'checkpoint, "none" for random weights, or "auto" (the default with '
        '--data) for the best published one',
    )


def _add_teacher(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--teacher',
        nargs='+',
        metavar='FILE',
        help='teacher model: CONFIG CHECKPOINT, or one file written by '
        '"export --raw"',
    )
    parser.add_argument(
        '--distill',
        metavar='KIND',
        help='what the model imitates of the teacher: cwd, cwd_features, pkd, '
        'logits, heatmap, or none; by default cwd for segmenters, heatmap for '
        'MonoCon, pkd for other detectors',
    )
    parser.add_argument(
        '--unlabeled',
        metavar='DIR',
        help='also train on the images of a folder, which the teacher labels',
    )


def _add_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--epochs',
        type=int,
        help='number of epochs; schedule, warm-up and averaged weights are '
        'adapted',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        help='images per GPU; the learning rate is adapted',
    )
    parser.add_argument(
        '--workers', type=int, help='data loading processes per GPU'
    )


def _add_metrics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--log',
        choices=['tensorboard', 'wandb'],
        help='also log losses and metrics there',
    )
    parser.add_argument(
        '--per-class',
        action='store_true',
        help='log the metrics of every class',
    )
    parser.add_argument(
        '--patience',
        type=int,
        help='stop after this many validations without an improvement',
    )


def _chooses(args: argparse.Namespace) -> bool:
    return args.task is not None or args.goal is not None


def _note_length(cfg: 'Config') -> None:
    """Print a line if the recipe is far longer than its data need."""
    from lvt_dense.compat.stack import import_stack
    from lvt_dense.engine.schedules import count_images
    from lvt_dense.planning.choices import warn_of_length

    epochs = cfg.train_cfg.get('max_epochs')
    if not epochs or not is_first_process():
        return
    import_stack()
    line = warn_of_length(epochs, count_images(cfg))
    if line:
        print(f'note: {line}')


def run(args: argparse.Namespace) -> Outcome:
    """Train."""
    clock.start()
    set_local_rank(args)
    chosen = None
    if args.config is None or args.minutes is not None or _chooses(args):
        from lvt_dense.commands.planning import plan

        chosen = plan(args)
    cfg = read_config(args, report_dir='data')
    if args.data and chosen is None and args.epochs is None:
        _note_length(cfg)
    from lvt_dense.apis.train import train

    train(
        cfg,
        work_dir=args.work_dir,
        resume=args.resume,
        amp=args.amp,
        compile=args.compile,
        auto_scale_lr=args.auto_scale_lr,
        launcher=args.launcher,
        pretrained=args.pretrained,
        start=args.start or ('auto' if args.data else None),
        command=_command(args, cfg),
        epochs=args.epochs,
        batch_size=args.batch_size,
        multi_scale=args.multi_scale,
        workers=args.workers,
        seed=args.seed,
        device=args.device,
        log=args.log,
        per_class=args.per_class,
        patience=args.patience,
        on_nan=args.on_nan,
        exact_resume=args.exact_resume,
        augment=args.augment,
        teacher=args.teacher,
        distill=args.distill,
        unlabeled=args.unlabeled,
        balance=args.balance,
    )
    return Outcome(dict(folder=cfg.get('work_dir'), plan=chosen))


def _command(args: argparse.Namespace, cfg: 'Config') -> 'Command | None':
    """Return what the page at the end repeats; None without ``--data``."""
    from lvt_dense.apis.closing import Command

    if not args.data:
        return None
    options = {
        f'--{name.replace("_", "-")}': str(getattr(args, name))
        for name in _REPEATED
        if getattr(args, name) is not None
    }
    return Command(
        str(args.config or cfg.filename),
        args.data,
        options,
        bool(args.tiles),
        args.balance,
    )
