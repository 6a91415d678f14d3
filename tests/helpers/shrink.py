"""Cut a run down to what a test can wait for."""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from lvt_dense.commands import make_demo_data

IMAGES = 8
LONGEST = 128


def shrink_runs() -> None:
    """Let every run in this process train shortly on small images.

    A run of N epochs ends after one, and its checkpoint is there under the
    name ``epoch_N.pth`` as well.
    """
    # of the class that is asked, as some runners derive from MMEngine's
    from_cfg, train = Runner.from_cfg.__func__, Runner.train

    def shortened(cls: type[Runner], cfg: Config) -> Runner:
        total = cfg.get('train_cfg') or {}
        wanted = total.get('max_epochs'), total.get('max_iters')
        _shrink_config(cfg)
        runner = from_cfg(cls, cfg)
        runner.wanted_length = wanted
        return runner

    def train_and_link(runner: Runner) -> Any:
        result = train(runner)
        epochs, iters = runner.wanted_length
        names = {'epoch_1.pth': f'epoch_{epochs}.pth'}
        names['iter_2.pth'] = f'iter_{iters}.pth'
        for name, asked in names.items():
            made = Path(runner.work_dir, name)
            if made.exists() and name != asked:
                made.with_name(asked).unlink(missing_ok=True)
                made.with_name(asked).symlink_to(name)
        return result

    Runner.from_cfg = classmethod(shortened)
    Runner.train = train_and_link


def shrink_scenes() -> None:
    """Let ``make-demo-data`` render a few images only."""
    run = make_demo_data.run

    def shortened(args: Any) -> None:
        args.images = min(args.images, IMAGES)
        run(args)

    make_demo_data.run = shortened


def _shrink_config(cfg: Config) -> None:
    total = cfg.get('train_cfg') or {}
    if total.get('by_epoch', 'max_epochs' in total):
        total.update(max_epochs=1, val_interval=1)
        total.pop('dynamic_intervals', None)
        interval = 1
    elif total:
        total.update(max_iters=2, val_interval=2)
        interval = 2
    if 'checkpoint' in cfg.get('default_hooks', {}):
        cfg.default_hooks.checkpoint.interval = interval if total else 1
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            loader.update(num_workers=0, persistent_workers=False)
            loader.pop('prefetch_factor', None)
            # batches of a drawn size are smaller where the images are larger
            most = 8 if 'lvt_dense' in str(loader.get('batch_sampler')) else 2
            loader.batch_size = min(loader.get('batch_size', 2), most)
            _shrink_part(loader.get('dataset'))


def _shrink_part(part: Any) -> None:
    """Shrink the sizes in a data set or pipeline, in place."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ('scale', 'crop_size', 'img_scale'):
                part[key] = _smaller(value)
            elif key == 'scales':
                part[key] = [_smaller(item) for item in value]
            else:
                _shrink_part(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            _shrink_part(value)


def _smaller(size: Any) -> Any:
    if isinstance(size, (list, tuple)):
        if isinstance(size[0], (list, tuple)):
            return [_smaller(item) for item in size]
        factor = min(1, LONGEST / max(size))
        return tuple(max(32, round(side * factor / 32) * 32) for side in size)
    return min(size, LONGEST) if isinstance(size, int) else size
