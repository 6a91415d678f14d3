"""Loops of the runner."""

from mmengine.runner import EpochBasedTrainLoop

from lvt_dense.registry import LOOPS


@LOOPS.register_module()
class ReplayEpochLoop(EpochBasedTrainLoop):
    """MMEngine's loop of epochs, which can begin in the middle of one.

    Where that is, :class:`~lvt_dense.datasets.exact_resume.ReplayBatchSampler`
    knows; with any other batch sampler it is the beginning.
    """

    def run_epoch(self) -> None:
        """Iterate what is left of an epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        sampler = self.dataloader.batch_sampler
        first = getattr(sampler, 'first', 0)
        for index, batch in enumerate(self.dataloader, first):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
