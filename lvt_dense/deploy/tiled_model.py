"""A model that predicts on tiles, in MMEngine's loops."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import Tensor

from lvt_dense.registry import MODELS
from lvt_dense.runtime import Detection, InputError, Predictor, Tiling
from lvt_dense.runtime.pictures import open_picture
from lvt_dense.runtime.tiles import predict_tiles
from lvt_dense.utils.errors import UserError


@MODELS.register_module()
class TiledModel(BaseModel):
    """Predict on the tiles of the image files of data samples.

    What a test pipeline has made of the images is not used: the tiles are
    cut from the files.

    Args:
        predictor: The model. MMEngine builds this class from a config, so
            that :meth:`use` may set it later.
        tiling: How images are cut.
    """

    def __init__(
        self,
        predictor: Predictor | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        super().__init__()
        self.use(predictor, tiling)

    def use(self, predictor: Predictor | None, tiling: Tiling | None) -> None:
        """Set the model, and how images are cut."""
        self.predictor = predictor
        self.tiling = tiling

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence[BaseDataElement],
        mode: str = 'predict',
    ) -> list[BaseDataElement]:
        """Predict on images.

        Args:
            inputs: Not used.
            data_samples: With ``img_path`` and ``ori_shape``.
            mode: ``'predict'``.

        Returns:
            The data samples with predictions.

        Raises:
            UserError: An image cannot be read, or is not as its sample says.
        """
        assert mode == 'predict' and self.predictor and self.tiling
        for sample in data_samples:
            try:
                picture = open_picture(sample.img_path)
                found = predict_tiles(
                    self.predictor, picture, self.tiling, 0.0
                )
            except (OSError, InputError) as error:
                raise UserError(f'{sample.img_path}: {error}') from error
            if picture.shape != tuple(sample.ori_shape[:2]):
                raise UserError(
                    f'{sample.img_path} has {picture.shape} pixels, but the '
                    f'test pipeline reads {tuple(sample.ori_shape[:2])}: '
                    '--tiles needs a pipeline that loads image files unchanged'
                )
            self._write(sample, found, picture.shape)
        return list(data_samples)

    def _write(
        self,
        sample: BaseDataElement,
        found: list[Detection] | np.ndarray,
        shape: tuple[int, int],
    ) -> None:
        if isinstance(found, np.ndarray):
            labels = torch.from_numpy(found.astype(np.int64))
            sample.pred_sem_seg = PixelData(data=labels[None])
            return
        boxes = np.array([f.box for f in found], np.float32).reshape(-1, 4)
        instances = InstanceData(
            bboxes=torch.from_numpy(boxes),
            scores=torch.tensor([f.score for f in found]),
            labels=torch.tensor([f.index for f in found], dtype=torch.long),
        )
        assert self.predictor is not None
        if self.predictor.info['task'] == 'instance':
            masks = [f.mask for f in found if f.mask is not None]
            empty = np.zeros((0, *shape), bool)
            instances.masks = np.stack(masks) if masks else empty
            instances.masks = torch.from_numpy(instances.masks)
        sample.pred_instances = instances
