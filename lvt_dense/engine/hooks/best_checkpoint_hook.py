"""The best checkpoint of a training under a name that stays the same."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from lvt_dense.config import BEST
from lvt_dense.registry import HOOKS
from lvt_dense.utils.files import duplicate


@HOOKS.register_module()
class BestCheckpointHook(Hook):
    """Keep ``best.pth`` beside the best checkpoint of MMEngine.

    That one has the metric and the epoch in its name. Where several metrics
    have a best checkpoint, it is that of the first.
    """

    priority = 'LOWEST'  # after the hook that saves checkpoints
    _seen = ''

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Follow the best checkpoint."""
        known = runner.message_hub.runtime_info
        found = [v for k, v in known.items() if k.startswith('best_ckpt')]
        if found and found[0] and found[0] != self._seen:
            self._seen = str(found[0])
            self._keep(Path(self._seen))

    @master_only
    def _keep(self, path: Path) -> None:
        if path.is_file():  # and not on a remote disk
            duplicate(path, path.with_name(BEST))
