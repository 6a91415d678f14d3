"""Plan a training before it starts, in one process for all."""

import argparse
from dataclasses import asdict
from typing import Any

from lvt_dense.commands.arguments import class_names, training_tiles
from lvt_dense.utils import clock
from lvt_dense.utils.dist import count_processes, is_first_process
from lvt_dense.utils.errors import UserError


def plan(args: argparse.Namespace) -> dict[str, Any] | None:
    """Plan a training, and set the arguments to the written config.

    The first process plans; the others train what it has written.

    Args:
        args: Arguments of ``lvt-dense train``; those that the written config
            holds are cleared.

    Returns:
        The plan for ``--json``; None in the other processes.

    Raises:
        UserError: The arguments contradict each other, or no plan fits.
    """
    if args.resume:
        what = 'plans a new training' if args.config else 'needs its config'
        option = '--minutes' if args.config else '--resume'
        raise UserError(
            f'{option} {what}: to continue an earlier one, give the config '
            'in its work directory with --resume and without --minutes'
        )
    from lvt_dense.engine.sharing import share_object
    from lvt_dense.planning.plan import check_request, make_plan

    request = _request(args)
    check_request(request)
    made = fault = None
    if is_first_process():
        try:
            found = make_plan(request)
            made = dict(
                file=str(found.file),
                work_dir=str(found.work_dir),
                command=found.command,
                choices=[asdict(choice) for choice in found.choices],
            )
        except UserError as error:
            fault = error
    content = made or dict(fault=str(fault))
    content = share_object(content, args.launcher)
    if 'fault' in content:
        raise fault or UserError(content['fault'])
    args.config, args.work_dir = content['file'], content['work_dir']
    args.epochs = args.batch_size = args.augment = None
    args.pretrained = args.backbone = args.cfg_options = None
    return made


def _request(args: argparse.Namespace) -> Any:
    from lvt_dense.planning.plan import Request
    from lvt_dense.planning.text import KEPT

    if args.data and args.data_root:
        raise UserError('give either --data or --data-root, not both')
    return Request(
        data=args.data,
        data_root=args.data_root,
        config=args.config,
        minutes=args.minutes,
        task=args.task,
        goal=args.goal,
        epochs=args.epochs,
        batch_size=args.batch_size,
        augment=args.augment,
        pretrained=args.pretrained,
        backbone=args.backbone,
        classes=class_names(args),
        tiling=training_tiles(args),
        options=args.cfg_options or {},
        work_dir=args.work_dir,
        gpus=count_processes(args.launcher),
        kept={name: getattr(args, name, None) for name in KEPT},
        begin=clock.started(),
    )
