"""Which pixels a score comes from."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.optional import import_optional

from .targets import Score

METHODS = ('grad-cam', 'hires-cam', 'integrated-gradients', 'occlusion')
_STEPS = 32  # of integrated gradients
_PATCHES = 12  # that a side is divided into by occlusion


def class_activation(
    backbone: nn.Module,
    score: Score,
    images: Tensor,
    method: str = 'grad-cam',
) -> dict[int, Tensor]:
    """Map where each level of a backbone's pyramid raises a score.

    - ``grad-cam``: channels weighted by their mean gradient (Selvaraju et
      al., ICCV 2017);
    - ``hires-cam``: every position weighted by its own gradient (Draelos and
      Carin, arXiv 2011.08891), which keeps to one object among many.

    Args:
        backbone: The backbone inside the model that gives the score.
        score: Maps images (1, 3, H, W) to (1,).
        images: (1, 3, H, W), normalized.
        method: One of the two.

    Returns:
        (H_i, W_i), 0 or more, by the number of the level.

    Raises:
        UserError: The score does not depend on the backbone.
    """
    with torch.enable_grad(), _kept_levels(backbone) as levels:
        value = score(images.detach().requires_grad_()).sum()
        if not value.requires_grad:
            raise UserError(
                'the score of this head has no gradient, so there is no '
                'Grad-CAM; use --method occlusion'
            )
        numbers = sorted(levels)
        gradients = torch.autograd.grad(
            value, [levels[i] for i in numbers], allow_unused=True
        )
    maps = {}
    for number, gradient in zip(numbers, gradients):
        level = levels[number].detach()
        if gradient is None:
            maps[number] = torch.zeros_like(level[0, 0])
            continue
        if method == METHODS[0]:
            gradient = gradient.mean((2, 3), keepdim=True)
        maps[number] = (gradient * level).sum(1)[0].clamp(min=0)
    return maps


@contextmanager
def _kept_levels(backbone: nn.Module) -> Iterator[dict[int, Tensor]]:
    """Keep the maps of all stages, whether they are given out or not.

    What a stage hands on to the next one is preferred to what the backbone
    gives out, which can be a copy.
    """
    levels: dict[int, Tensor] = {}

    def keep_stage(number: int) -> Callable[..., None]:
        def keep(module: nn.Module, inputs: object, out: object) -> None:
            if isinstance(out, Tensor) and out.dim() == 4:
                levels[number] = out

        return keep

    def keep_outputs(
        module: nn.Module, inputs: object, outputs: Sequence[Tensor]
    ) -> None:
        numbers = getattr(module, 'out_indices', range(len(outputs)))
        for number, out in zip(numbers, outputs):
            levels.setdefault(number, out)

    stages = getattr(backbone, 'stages', [])
    handles = [
        stage.register_forward_hook(keep_stage(i))
        for i, stage in enumerate(stages)
    ]
    handles.append(backbone.register_forward_hook(keep_outputs))
    try:
        yield levels
    finally:
        for handle in handles:
            handle.remove()


def pixel_attribution(score: Score, images: Tensor, method: str) -> Tensor:
    """Map what each pixel adds to a score, with the library captum.

    Args:
        score: Maps images (N, 3, H, W) to (N,).
        images: (1, 3, H, W), normalized.
        method: ``integrated-gradients`` (Sundararajan et al., ICML 2017), by
            absolute value, or ``occlusion`` (Zeiler and Fergus, ECCV 2014).

    Returns:
        (H, W), 0 or more.

    Raises:
        UserError: captum cannot be imported.
    """
    attr = import_optional('captum.attr', f'--method {method}', 'explain')
    height, width = images.shape[2:]
    if method == 'occlusion':
        window = (3, -(-height // _PATCHES), -(-width // _PATCHES))
        strides = (3, max(1, window[1] // 2), max(1, window[2] // 2))
        with torch.no_grad():
            found = attr.Occlusion(score).attribute(
                images, window, strides=strides
            )
        return found[0].mean(0).clamp(min=0)
    found = attr.IntegratedGradients(score).attribute(
        images, n_steps=_STEPS, internal_batch_size=1
    )
    return found[0].abs().sum(0).detach()


def share_inside(heat: Tensor, mask: Tensor) -> float:
    """Return the share of a map's mass inside a mask.

    Args:
        heat: (h, w), 0 or more.
        mask: (H, W), bool; the map is enlarged to its size.
    """
    large = F.interpolate(
        heat[None, None].float(), mask.shape, mode='bilinear'
    )[0, 0]
    return float(large[mask].sum() / large.sum().clamp(min=1e-12))
