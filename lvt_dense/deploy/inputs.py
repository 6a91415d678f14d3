"""The first part of every exported graph: from an image to the network."""

import torch
from mmengine.config import Config
from torch import Tensor, nn


class ImageInput(nn.Module):
    """Normalize images of 8 bits, as the data preprocessor does.

    Args:
        preprocessor: Config of the model's data preprocessor.
        color: Channel order of the graph's input: ``'rgb'`` or ``'bgr'``.
        padded: Whether images may be smaller than the input; the graph then
            has ``size`` as a second input.
        channels: Channels of the images. Those of other images than color
            pictures keep their order.

    Attributes:
        names: Names of the graph's inputs.
    """

    def __init__(
        self,
        preprocessor: dict,
        color: str = 'rgb',
        padded: bool = False,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.names = ('image', 'size') if padded else ('image',)
        self.channels = channels
        # Images come from the loaders as BGR.
        takes_rgb = bool(preprocessor.get('bgr_to_rgb'))
        takes_rgb ^= bool(preprocessor.get('rgb_to_bgr'))
        self.flip = channels == 3 and takes_rgb != (color == 'rgb')
        mean = preprocessor.get('mean') or [0.0] * channels
        std = preprocessor.get('std') or [1.0] * channels
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer('mean', torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, image: Tensor, size: Tensor | None = None) -> Tensor:
        """Normalize a batch.

        Args:
            image: Images, (N, H, W, C) uint8 in the chosen channel order.
            size: Height and width of each image's content, (N, 2) int64;
                what lies to the right of it and below is padding, which the
                network sees as zeros.

        Returns:
            Input of the backbone, (N, C, H, W) float32.
        """
        x = image.permute(0, 3, 1, 2).to(self.mean.dtype)
        if self.flip:
            x = x.flip(1)
        x = (x - self.mean) / self.std
        if size is None:
            return x
        rows = torch.arange(x.shape[2], device=x.device)
        columns = torch.arange(x.shape[3], device=x.device)
        inside = (rows[None, :, None] < size[:, 0, None, None]) & (
            columns[None, None, :] < size[:, 1, None, None]
        )
        return x * inside[:, None].to(x.dtype)


def channels_of(cfg: Config) -> int:
    """Return the number of channels of a model's images."""
    return (cfg.model.get('backbone') or {}).get('in_channels', 3)


def preprocessor_of(cfg: Config) -> dict:
    """Return the data preprocessor's config."""
    return cfg.model.get('data_preprocessor') or cfg.get(
        'data_preprocessor', {}
    )
