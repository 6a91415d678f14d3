"""A hook that counts conflicts between gradients."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

from .figures import save_figure
from .optim_wrapper import ConflictAwareOptimWrapper

FILE = 'conflicts.json'


@HOOKS.register_module()
class ConflictMeter(Hook):
    """Count how often the supernet's gradient opposes the sub-networks'.

    A layer is a module with parameters of its own. It is in conflict in a
    step when the inner product of the two gradients of these parameters, and
    with it their cosine, is negative (paper, Table 4). The gradients are those
    before the projection. Layers that the sub-networks of a step do not use do
    not count in it.

    The share of layers in conflict is logged as ``conflict``.
    ``conflicts.json`` and ``conflicts.png`` in the work directory have the
    share of steps of each layer.

    Args:
        interval: Iterations after which the files are written anew; they are
            at the end in any case.
    """

    priority = 'NORMAL'  # before the logger

    def __init__(self, interval: int = 500) -> None:
        self.interval = interval
        self.layers: list[str] = []
        self.curve: list[tuple[int, float]] = []
        self._members: list[list[int]] = []
        self._conflicts = np.zeros(0, dtype=int)
        self._steps = np.zeros(0, dtype=int)
        self._waiting: dict[str, Any] | None = None

    def before_train(self, runner: Runner) -> None:
        """Group the parameters by layer.

        Raises:
            UserError: The optimizer wrapper does not know the gradients.
        """
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, ConflictAwareOptimWrapper):
            raise UserError(
                'ConflictMeter needs optim_wrapper.type='
                "'ConflictAwareOptimWrapper'"
            )
        wrapper.is_watched = True
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        self.group(model, wrapper.parameters)
        if self._waiting:
            self._restore(self._waiting)

    def group(self, model: nn.Module, parameters: Iterable[Tensor]) -> None:
        """Find the layers of a model.

        Args:
            model: The model.
            parameters: Its trained parameters, in the optimizer's order.
        """
        places = {id(p): i for i, p in enumerate(parameters)}
        members: dict[str, list[int]] = {}
        for name, parameter in model.named_parameters():
            if id(parameter) in places:
                layer = name.rpartition('.')[0]
                members.setdefault(layer, []).append(places[id(parameter)])
        self.layers = list(members)
        self._members = list(members.values())
        self._conflicts = np.zeros(len(self.layers), dtype=int)
        self._steps = np.zeros(len(self.layers), dtype=int)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Count the conflicts of a step."""
        wrapper = runner.optim_wrapper
        if wrapper.inner is None:  # gradients are being accumulated
            return
        share = self.count(wrapper.inner)
        wrapper.inner = None
        self.curve.append((runner.iter + 1, share))
        runner.message_hub.update_scalar('train/conflict', share)
        if self.every_n_train_iters(runner, self.interval):
            self.write(runner.work_dir)

    def count(self, inner: Tensor) -> float:
        """Count the conflicts of a step.

        Args:
            inner: Inner product of the gradients of each parameter, NaN for
                those that do not count.

        Returns:
            Share of layers in conflict.
        """
        products = inner.double().numpy()
        sums = np.array([_sum(products[m]) for m in self._members])
        is_used = ~np.isnan(sums)
        is_conflict = is_used & (np.nan_to_num(sums) < 0)
        self._steps += is_used
        self._conflicts += is_conflict
        return float(is_conflict.sum() / max(is_used.sum(), 1))

    def after_train(self, runner: Runner) -> None:
        """Write the files."""
        self.write(runner.work_dir)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the counts for a resumed training."""
        checkpoint['conflicts'] = dict(self.shares(), curve=self.curve)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take up the counts of the training that goes on."""
        self._waiting = checkpoint.get('conflicts')

    def shares(self) -> dict[str, Any]:
        """Return steps, conflicts and their share by layer."""
        return dict(
            layers=[
                dict(
                    name=name,
                    steps=int(steps),
                    conflicts=int(conflicts),
                    share=conflicts / steps if steps else None,
                )
                for name, steps, conflicts in zip(
                    self.layers, self._steps, self._conflicts
                )
            ],
            share=float(self._conflicts.sum() / max(self._steps.sum(), 1)),
        )

    @master_only
    def write(self, folder: str | Path) -> None:
        """Write ``conflicts.json`` and ``conflicts.png``."""
        content = dict(self.shares(), curve=self.curve)
        path = Path(folder, FILE)
        write_atomically(path, json.dumps(content, indent=1) + '\n')
        draw_conflicts([path], path.with_suffix('.png'))

    def _restore(self, content: dict[str, Any]) -> None:
        counts = {entry['name']: entry for entry in content['layers']}
        if list(counts) != self.layers:
            return  # the counts of another model
        for place, name in enumerate(self.layers):
            self._steps[place] = counts[name]['steps']
            self._conflicts[place] = counts[name]['conflicts']
        self.curve = [tuple(point) for point in content['curve']]
        self._waiting = None


def draw_conflicts(
    paths: Sequence[str | Path], out: str | Path, names: Sequence[str] = ()
) -> None:
    """Draw the share of steps in conflict by layer, and over the training.

    Args:
        paths: Files ``conflicts.json``, one for each training.
        out: ``.png`` file to write.
        names: Names of the trainings; by default those of their folders.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout='constrained')
    above, below = figure.subplots(2, 1)
    for number, path in enumerate(map(Path, paths)):
        content = json.loads(path.read_text())
        used = [layer for layer in content['layers'] if layer['steps']]
        label = names[number] if names else path.parent.name
        label = f'{label}: {content["share"]:.1%}'
        shares = [100 * layer['share'] for layer in used]
        above.plot(shares, label=label, marker='.', linewidth=0.8)
        if not number:
            _mark_parts(above, [layer['name'] for layer in used])
        below.plot(*_smooth(content['curve']), label=label)
    above.set(ylabel='steps in conflict (%)', xlabel='layer', ylim=(0, 100))
    below.set(ylabel='layers in conflict (%)', xlabel='iteration')
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, out)


def _mark_parts(axes: Any, names: Sequence[str]) -> None:
    """Separate stem, stages, neck and heads."""
    parts = ['.'.join(_part(name)) for name in names]
    starts = [
        i for i, part in enumerate(parts) if not i or part != parts[i - 1]
    ]
    for start in starts:
        axes.axvline(start - 0.5, color='gray', linewidth=0.5)
    axes.set_xticks(starts, [parts[i] for i in starts], rotation=20)
    axes.tick_params(axis='x', labelsize=7)


def _part(name: str) -> Sequence[str]:
    words = name.removeprefix('network.').removeprefix('backbone.').split('.')
    return words[: 2 if words[0] == 'stages' else 1]


def _smooth(curve: Sequence[Sequence[float]]) -> tuple[Any, Any]:
    """Average a curve over a twentieth of its length."""
    if not curve:
        return [], []
    steps, values = np.array(curve).T
    width = max(1, len(values) // 20)
    kernel = np.ones(width) / width
    half = len(values) - len(np.convolve(values, kernel, 'valid'))
    return steps[half:], 100 * np.convolve(values, kernel, 'valid')


def _sum(products: np.ndarray) -> float:
    """Sum what is not NaN; NaN where nothing is left."""
    known = products[~np.isnan(products)]
    return known.sum() if len(known) else np.nan
