"""Classification of folders of images, for NASViT's own task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseDataPreprocessor, BaseModel, BaseModule
from mmengine.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import IMAGE_SUFFIXES


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """Images in one folder for each class, as ImageNet's are.

    Args:
        data_root: Folder with a folder for each class.
        **kwargs: As for MMEngine's ``BaseDataset``. Without
            ``metainfo.classes`` the sorted names of the folders are the
            classes.
    """

    def __init__(self, data_root: str, **kwargs: Any) -> None:
        metainfo = dict(kwargs.pop('metainfo', None) or {})
        folders = [p.name for p in Path(data_root).glob('*') if p.is_dir()]
        if not folders:
            raise UserError(f'{data_root} has no folder for each class')
        metainfo.setdefault('classes', tuple(sorted(folders)))
        super().__init__(data_root=data_root, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """List the images of all classes."""
        images = [
            dict(img_path=str(path), gt_label=label)
            for label, name in enumerate(self.metainfo['classes'])
            for path in sorted(Path(self.data_root, name).rglob('*'))
            if path.suffix.lower() in IMAGE_SUFFIXES
        ]
        if not images:
            raise UserError(f'{self.data_root} has no image in its folders')
        return images


@TRANSFORMS.register_module()
class PackClassInputs:
    """Pack an image and its class."""

    def __call__(self, results: dict) -> dict[str, Any]:
        """Return ``inputs``, (3, H, W), and ``data_samples``."""
        image = torch.from_numpy(results['img'].transpose(2, 0, 1).copy())
        sample = BaseDataElement(
            metainfo=dict(
                img_path=results['img_path'], img_shape=image.shape[1:]
            ),
            gt_label=torch.tensor(results['gt_label']),
        )
        return dict(inputs=image, data_samples=sample)


@MODELS.register_module()
class ClassPreprocessor(BaseDataPreprocessor):
    """Stack images of one size and normalize them.

    Args:
        mean: Of each channel.
        std: Of each channel.
        bgr_to_rgb: Whether to reverse the channels first.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        bgr_to_rgb: bool = False,
    ) -> None:
        super().__init__()
        self.bgr_to_rgb = bgr_to_rgb
        for name, values in (('mean', mean), ('std', std)):
            tensor = torch.tensor(values).view(-1, 1, 1)
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict[str, Any]:
        """Return the batch, its images as (N, 3, H, W)."""
        data = self.cast_data(data)
        images = torch.stack(list(data['inputs'])).float()
        if self.bgr_to_rgb:
            images = images.flip(1)
        return dict(data, inputs=(images - self.mean) / self.std)


@MODELS.register_module()
class ClassificationHead(BaseModule):
    """Mean of the last level, then a linear layer.

    Args:
        in_channels: Channels of the last level.
        num_classes: Number of classes.
        label_smoothing: Share of the label that all classes get.
        init_cfg: Initialization.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        label_smoothing: float = 0.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            init_cfg or dict(type='TruncNormal', layer='Linear', std=0.02)
        )
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        """Map levels to logits, (N, num_classes)."""
        return self.fc(x[-1].mean((2, 3)))

    def loss(self, x: Sequence[Tensor], samples: Sequence[Any]) -> dict:
        """Compute the loss."""
        return self.loss_by_feat(self(x), samples)

    def loss_by_feat(self, logits: Tensor, samples: Sequence[Any]) -> dict:
        """Compute the loss from the logits."""
        labels = torch.stack([sample.gt_label for sample in samples])
        loss = F.cross_entropy(
            logits, labels, label_smoothing=self.label_smoothing
        )
        return dict(loss=loss)


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """A backbone with a classification head.

    Args:
        backbone: Config of the backbone.
        head: Config of the head.
        data_preprocessor: Config of the preprocessor.
        init_cfg: Initialization.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build(head)

    def forward(
        self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor'
    ) -> Any:
        """Compute losses, data samples with ``pred_score``, or logits."""
        x = self.backbone(inputs)
        if mode == 'loss':
            return self.head.loss(x, data_samples)
        logits = self.head(x)
        if mode == 'tensor':
            return logits
        for sample, score in zip(data_samples, logits.softmax(-1)):
            sample.pred_score = score
        return data_samples


@METRICS.register_module()
class TopAccuracy(BaseMetric):
    """Share of images whose class has the highest score, in percent."""

    default_prefix = 'accuracy'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Compare the images of a batch."""
        for sample in data_samples:
            best = int(sample['pred_score'].argmax())
            self.results.append(best == int(sample['gt_label']))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return ``top1``."""
        return dict(top1=100 * sum(results) / len(results))
