"""Batched suppression in half precision."""

import functools
from types import ModuleType
from typing import Any

import torch
from torch import Tensor


def compute_in_float32(module: ModuleType) -> None:
    """Let MMCV's ``batched_nms`` compute in float32.

    It moves the boxes of each class to a place of their own. In half
    precision, the places lie beyond the largest number, or boxes are rounded
    to their neighbors, and are lost.

    Args:
        module: ``mmcv.ops.nms``, changed in place.
    """
    original = module.batched_nms

    @functools.wraps(original)
    def batched_nms(
        boxes: Tensor, scores: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if boxes.dtype not in (torch.float16, torch.bfloat16):
            found: tuple[Tensor, Tensor] = original(
                boxes, scores, *args, **kwargs
            )
            return found
        dets, keep = original(boxes.float(), scores.float(), *args, **kwargs)
        return dets.to(boxes.dtype), keep

    module.__dict__['batched_nms'] = batched_nms
