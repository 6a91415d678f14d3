"""What is compared: a recipe, its image size, batch, rate and augmentation."""

from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from lvt_dense.config import dataset_cfgs, load_config
from lvt_dense.datasets.own import use_data
from lvt_dense.engine.augment import RECIPE, use_augment
from lvt_dense.engine.schedules import count_images
from lvt_dense.planning import fit
from lvt_dense.swap import swap_backbone


@dataclass(frozen=True)
class Trial:
    """A training.

    Attributes:
        config: Name of its recipe.
        size: Shorter side of the input, in pixels.
        batch: Images of an update.
        rate: Learning rate.
        augment: Preset of ``--augment``.
        updates: Length.
        backbone: Another backbone than that of the recipe.
        max_norm: Norm that gradients are clipped to; None as in the recipe.
    """

    config: str
    size: int
    batch: int = 8
    rate: float = 2e-3
    augment: str = 'light'
    updates: int = 400
    backbone: str | None = None
    max_norm: float | None = None


_SSDLITE = 'ssdlite_mobilevit_xxs_320_coco.py'
_RTMDET = 'rtmdet_emo_1m_coco.py'
_XXS = 'mobilevit_xxs'
TRIALS = {
    'ssdlite_256': Trial(_SSDLITE, 256),
    'ssdlite_256_clip': Trial(_SSDLITE, 256, max_norm=5.0),
    'ssdlite_320': Trial(_SSDLITE, 320),
    'ssdlite_256_strong': Trial(_SSDLITE, 256, augment='strong'),
    'ssdlite_256_recipe': Trial(_SSDLITE, 256, augment=RECIPE),
    'rtmdet_256': Trial(_RTMDET, 256, backbone=_XXS),
    'rtmdet_320': Trial(_RTMDET, 320, backbone=_XXS),
    'rtmdet_256_strong': Trial(_RTMDET, 256, augment='strong', backbone=_XXS),
    'rtmdet_emo_256': Trial(_RTMDET, 256),
    'retinanet_256': Trial(
        'retinanet_emo_1m_coco.py', 256, rate=5e-4, backbone=_XXS
    ),
    'deeplabv3': Trial(
        'deeplabv3_mobilevit_xxs_360_camvid.py', 360, rate=1e-3, augment=RECIPE
    ),
}


def build(
    trial: Trial, data: Path, updates: int, images: int | None
) -> Config:
    """Build the config of a trial on a data set.

    Args:
        trial: The trial.
        data: Folder of the data set.
        updates: Length.
        images: The first so many training images; None takes all.
    """
    cfg = load_config(f'lvt_dense::{trial.config}')
    if trial.backbone:
        cfg = swap_backbone(cfg, trial.backbone, pretrained='none')
    use_data(cfg, str(data))
    fit.set_size(cfg, trial.size)
    cfg.train_dataloader.batch_size = trial.batch
    fit.set_scratch_rate(cfg, trial.rate, trial.batch)
    if trial.max_norm is not None:
        cfg.optim_wrapper.clip_grad = dict(max_norm=trial.max_norm)
    count = images or count_images(cfg)
    fit.set_length(cfg, count, trial.batch, updates, validations=1)
    fit.set_average(cfg, updates)
    if trial.augment != RECIPE:
        use_augment(cfg, trial.augment)
    if images:
        for part in dataset_cfgs(cfg, 'train'):
            part.indices = images
    return cfg
