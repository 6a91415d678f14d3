"""Let a transform follow the image size that was drawn for its batch."""

from collections.abc import Sequence
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS

from lvt_dense.datasets.samplers import size_of
from lvt_dense.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DrawnSize(BaseTransform):
    """Apply a transform whose sizes are scaled to the drawn size.

    Works with :class:`~lvt_dense.datasets.samplers.VariableBatchSampler`;
    without a drawn size the transform is applied as it is.

    Args:
        transform: Config of a transform, such as ``Resize``.
        base_size: Height and width in pixels that the config is meant for.
        width_first: Settings of ``transform`` given as (width, height).
        height_first: Settings given as (height, width).
    """

    def __init__(
        self,
        transform: dict,
        base_size: Sequence[int],
        width_first: Sequence[str] = ('scale',),
        height_first: Sequence[str] = (),
    ) -> None:
        self.config = dict(transform)
        self.base_size = tuple(base_size)
        self.width_first = tuple(width_first)
        self.height_first = tuple(height_first)
        base = MMENGINE_TRANSFORMS.build(dict(transform))
        self._class = type(base)
        # By drawn size; there are few.
        self._built: dict[tuple[int, int] | None, Any] = {None: base}

    def transform(self, results: dict) -> dict | None:
        """Apply the transform for the size drawn for this image."""
        size = size_of(results)
        if size is not None and size not in self._built:
            self._built[size] = self._class(**self._fitted(size))
        return self._built[size](results)

    def _fitted(self, size: tuple[int, int]) -> dict:
        """Return the transform's settings for a size."""
        fitted = {k: v for k, v in self.config.items() if k != 'type'}
        height, width = (s / b for s, b in zip(size, self.base_size))
        for names, factors in (
            (self.width_first, (width, height)),
            (self.height_first, (height, width)),
        ):
            for name in names:
                if name in fitted:
                    pair = zip(fitted[name], factors)
                    fitted[name] = tuple(round(v * f) for v, f in pair)
        return fitted

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.config}, {self.base_size})'
