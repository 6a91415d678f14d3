"""Check the batches of a training before its first step."""

from typing import Any

from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import BatchSampler

from lvt_dense.utils.errors import UserError


def fit_batches(runner: Runner) -> list[str]:
    """Leave out a last batch of one image, of which batch norm cannot learn.

    Another image is left out in each epoch.

    Args:
        runner: A runner before training.

    Returns:
        What changed, in a line for the log.

    Raises:
        UserError: There is no whole batch.
    """
    loop = runner.train_loop
    if not isinstance(loop, EpochBasedTrainLoop):
        return []
    batches: Any = loop.dataloader.batch_sampler
    batches = getattr(batches, 'inner', batches)
    if type(batches) is not BatchSampler:  # others sort images into batches
        return []
    sampler: Any = batches.sampler
    count, size = len(sampler), batches.batch_size
    if batches.drop_last and count < size:
        raise UserError(
            f'the training set has {count} images, fewer than the batch size '
            f'of {size}: set train_dataloader.batch_size to {count} or less, '
            'or '
            'train_dataloader.drop_last=False'
        )
    is_normed = any(isinstance(m, _BatchNorm) for m in runner.model.modules())
    if batches.drop_last or size == 1 or count % size != 1 or count == 1:
        return []
    if not is_normed:
        return []
    batches.drop_last = True
    return [
        f'the last batch of {count} images in batches of {size} would be a '
        'single image, which batch norm does not learn from: it is left out '
        'of each epoch (train_dataloader.drop_last=True)'
    ]
