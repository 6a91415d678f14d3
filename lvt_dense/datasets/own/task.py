"""Find the kind of labels that a recipe needs."""

from mmengine.config import Config
from mmengine.registry import DATASETS

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import dataset_cfgs
from lvt_dense.utils.config_class import lookup_class
from lvt_dense.utils.errors import UserError

from .adapt import find_dicts


def scope_of(cfg: Config) -> str:
    """Return the default scope of a config."""
    return cfg.get('default_scope') or 'mmengine'


def task_of(cfg: Config) -> str:
    """Return the task of a config.

    Args:
        cfg: Config with a model and a training data set.

    Returns:
        ``'detection'``, ``'instance'``, ``'semantic'`` or ``'mono3d'``.

    Raises:
        UserError: It has no model or no training data.
    """
    datasets = list(dataset_cfgs(cfg, 'train'))
    if 'model' not in cfg or not datasets:
        raise UserError(
            f'--data: the config {cfg.filename} has no model or no '
            'train_dataloader.dataset'
        )
    import_stack()
    from lvt_dense.datasets.kitti.dataset import KittiMonoDataset

    kinds = [
        lookup_class(DATASETS, d.get('type'), scope_of(cfg)) for d in datasets
    ]
    if any(isinstance(k, type) and issubclass(k, KittiMonoDataset)
           for k in kinds):  # fmt: skip
        return 'mono3d'
    if 'decode_head' in cfg.model:
        return 'semantic'
    if any(step.get('with_mask') for step in find_dicts(cfg.train_dataloader)):
        return 'instance'
    return 'detection'
