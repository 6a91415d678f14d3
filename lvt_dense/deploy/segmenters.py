"""Graph of semantic segmenters: from an image to a label map."""

import torch
import torch.nn.functional as F
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from lvt_dense.deploy.inputs import ImageInput
from lvt_dense.errors import UserError


class Segmenter(nn.Module):
    """Graph of an encoder-decoder.

    Args:
        segmenter: Segmenter of MMSegmentation.
        image_input: First part of the graph.
        raw: Return the decode head's scores instead of labels.

    Raises:
        UserError: The segmenter tests on sliding windows.
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
        head = self.segmenter.decode_head
        x = self.input(image, size)
        logits = head(self.segmenter.extract_feat(x))
        if self.raw:
            return (logits,)
        logits = F.interpolate(
            logits,
            size=x.shape[-2:],
            mode='bilinear',
            align_corners=head.align_corners,
        )
        if head.out_channels == 1:
            labels = logits.sigmoid()[:, 0] > head.threshold
        else:
            labels = logits.argmax(1)
        return (labels.to(torch.int32),)
