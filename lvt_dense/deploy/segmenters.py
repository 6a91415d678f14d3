"""Graph of semantic segmenters: from an image to a label map."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads import DAHead, EncHead
from mmseg.models.decode_heads.cascade_decode_head import (
    BaseCascadeDecodeHead,
)
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import Upsample
from torch import Tensor, nn

from lvt_dense.deploy.inputs import ImageInput
from lvt_dense.utils.errors import UserError

# Ways to predict that the graph follows.
_KNOWN = (
    BaseDecodeHead.predict,
    BaseCascadeDecodeHead.predict,
    DAHead.predict,
    EncHead.predict,
)


class Segmenter(nn.Module):
    """Graph of an encoder-decoder.

    Args:
        segmenter: Segmenter of MMSegmentation.
        image_input: First part of the graph.
        raw: Return the decode head's scores instead of labels.

    Raises:
        UserError: The segmenter tests on sliding windows, or its last head
            predicts in a way of its own.
    """

    def __init__(
        self,
        segmenter: EncoderDecoder,
        image_input: ImageInput,
        raw: bool = False,
    ) -> None:
        super().__init__()
        mode = segmenter.test_cfg.get('mode', 'whole')
        if mode != 'whole':
            raise UserError(
                f'model.test_cfg.mode={mode!r}: only a network that sees the '
                "whole image can be exported; set model.test_cfg.mode='whole'"
            )
        heads = segmenter.decode_head
        # A cascade, whose heads refine the scores of those before them.
        is_cascade = isinstance(heads, nn.ModuleList)
        self.heads = heads if is_cascade else nn.ModuleList([heads])
        self.last: Any = self.heads[-1]
        if getattr(type(self.last), 'predict', None) not in _KNOWN:
            raise UserError(
                f'{type(self.last).__name__} predicts in a way that has no '
                'exported graph'
            )
        for module in segmenter.modules():
            if type(module) is Upsample and not module.size:
                # MMSegmentation's makes a constant of the new size.
                module.forward = partial(_upsample, module)
        self.input = image_input
        self.inputs = image_input.names
        self.segmenter = segmenter
        self.raw = raw
        self.outputs = ('logits',) if raw else ('labels',)

    def forward(
        self, image: Tensor, size: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Label the pixels.

        Args:
            image: Images, (N, H, W, 3) uint8.
            size: Height and width of the content, (N, 2).

        Returns:
            Class of each pixel, (N, H, W) int32; or the head's scores,
            (N, C, H / s, W / s).
        """
        if self.raw:
            x = self.input(image, size)
            return (self._score(self.segmenter.extract_feat(x)),)
        scores = self.score_pixels(image, size)
        if self.last.out_channels == 1:
            labels = scores[:, 0] > self.last.threshold
        else:
            labels = scores.argmax(1)
        return (labels.to(torch.int32),)

    def score_pixels(
        self, image: Tensor, size: Tensor | None = None
    ) -> Tensor:
        """Score the classes of each pixel.

        Args:
            image: As in :meth:`forward`.
            size: As in :meth:`forward`.

        Returns:
            Logits, (N, C, H, W); of a single class its probability.
        """
        x = self.input(image, size)
        logits = F.interpolate(
            self._score(self.segmenter.extract_feat(x)),
            size=x.shape[-2:],
            mode='bilinear',
            align_corners=self.last.align_corners,
        )
        return logits.sigmoid() if self.last.out_channels == 1 else logits

    def _score(self, features: tuple[Tensor, ...]) -> Tensor:
        first, *others = self.heads
        logits = first(features)
        for head in others:
            logits = head(features, logits)
        # DANet and EncNet hand out what only their losses want, too.
        return logits[0] if isinstance(logits, tuple) else logits


def _upsample(module: Upsample, x: Tensor) -> Tensor:
    factor = int(module.scale_factor)
    if factor != module.scale_factor:
        return Upsample.forward(module, x)
    size = [side * factor for side in x.shape[2:]]
    return F.interpolate(
        x, size, mode=module.mode, align_corners=module.align_corners
    )
