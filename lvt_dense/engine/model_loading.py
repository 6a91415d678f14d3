"""Models filled from their checkpoints, ready to predict."""

from mmengine.config import Config
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import MODELS
from torch import nn

from lvt_dense.checkpoints.model_files import read_model_file
from lvt_dense.engine.checkpoint_classes import fit_classes
from lvt_dense.engine.checkpoint_settings import check_settings
from lvt_dense.engine.runner import check_fit


def load_model(cfg: Config, checkpoint: str, device: str = 'cpu') -> nn.Module:
    """Build the model of a config and fill it strictly from a checkpoint.

    It counts as many classes as the checkpoint, see :func:`fit_classes`.

    Raises:
        UserError: The checkpoint does not fit.
    """
    state = read_model_file(checkpoint).state
    fit_classes(cfg, checkpoint)
    check_settings(cfg, checkpoint)
    model = MODELS.build(cfg.model)
    check_fit(model, state, checkpoint)
    model.load_state_dict(state, strict=False)
    return revert_sync_batchnorm(model).to(device).eval()
