"""Grad-CAM against shuffled weights; attributions against their theory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.explain.attribution import (
    class_activation,
    pixel_attribution,
    share_inside,
)
from lvt_dense.scenes import write_semantic
from lvt_dense.utils.errors import UserError

CAR = 8  # of CamVid's classes


class Backbone(nn.Module):
    """Two levels, at strides 2 and 4."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 3, 2, 1), nn.ReLU(), nn.Conv2d(b, b, 3, 1, 1),
                nn.ReLU(),
            )
            for a, b in ((3, 16), (16, 24))
        )  # fmt: skip

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outs = []
        for stage in self.stages:
            x = stage(x)
            outs.append(x)
        return tuple(outs)


class Segmenter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.Conv2d(24, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x)[-1])


@pytest.fixture(scope='module')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, Tensor]:
    """Rendered images (N, 3, H, W) and the masks of their cars (N, H, W)."""
    from PIL import Image

    root = tmp_path_factory.mktemp('scenes')
    write_semantic(root, 'camvid', 12, size=(96, 64), seed=0)
    images, masks = [], []
    for path in sorted((root / 'images').rglob('*.jpg')) or sorted(
        (root / 'images').rglob('*.png')
    ):
        label = Path(str(path).replace('images', 'labels')).with_suffix('.png')
        mask = np.asarray(Image.open(label)) == CAR
        if mask.mean() > 0.02:
            pixels = np.asarray(Image.open(path).convert('RGB'))
            images.append(torch.from_numpy(pixels.copy()).permute(2, 0, 1))
            masks.append(torch.from_numpy(mask))
    return torch.stack(images) / 127.5 - 1, torch.stack(masks)


@pytest.fixture(scope='module')
def trained(scenes: tuple[Tensor, Tensor]) -> Segmenter:
    torch.manual_seed(0)
    images, masks = scenes
    model = Segmenter()
    small = F.interpolate(masks[:, None].float(), scale_factor=0.25)[:, 0]
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    weight = torch.tensor([1.0, 4.0])
    for _ in range(80):
        loss = F.cross_entropy(model(images), small.long(), weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.4
    return model


def shuffled(model: Segmenter, seed: int) -> Segmenter:
    """The model with the weights of each layer in random order."""
    torch.manual_seed(seed)
    other = Segmenter()
    state = {
        name: value.flatten()[torch.randperm(value.numel())].view_as(value)
        for name, value in model.state_dict().items()
    }
    other.load_state_dict(state)
    return other


def share(model: Segmenter, scenes: tuple, method: str, level: int) -> float:
    """Mean share of the map's mass inside the cars."""
    shares = []
    for image, mask in zip(*scenes):
        where = F.interpolate(mask[None, None].float(), scale_factor=0.25)
        where = where[0, 0].bool()
        maps = class_activation(
            model.backbone,
            lambda x, where=where: model(x)[:, 1, where].mean(1),
            image[None],
            method,
        )
        shares.append(share_inside(maps[level], mask))
    return float(np.mean(shares))


@pytest.mark.parametrize('method', ['grad-cam', 'hires-cam'])
def test_mass_is_inside_the_object(
    method: str, trained: Segmenter, scenes: tuple[Tensor, Tensor]
) -> None:
    """Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018."""
    own = share(trained, scenes, method, 1)
    others = [
        share(shuffled(trained, seed), scenes, 'grad-cam', 1)
        for seed in range(3)
    ]
    assert own > 1.5 * max(others)
    assert own > 2 * float(scenes[1].float().mean())


def test_every_level_has_a_map(
    trained: Segmenter, scenes: tuple[Tensor, Tensor]
) -> None:
    maps = class_activation(
        trained.backbone, lambda x: trained(x)[:, 1].mean((1, 2)),
        scenes[0][:1],
    )  # fmt: skip
    assert {i: tuple(m.shape) for i, m in maps.items()} == {
        0: (32, 48),
        1: (16, 24),
    }
    assert all(m.sum() > 0 for m in maps.values())
    assert not trained.backbone._forward_hooks


def test_a_score_without_gradient_is_refused(trained: Segmenter) -> None:
    with pytest.raises(UserError, match='has no gradient'):
        class_activation(
            trained.backbone,
            lambda x: trained(x).detach().mean((1, 2, 3)),
            torch.rand(1, 3, 32, 32),
        )


def test_attributions_of_a_linear_score() -> None:
    pytest.importorskip('captum')
    torch.manual_seed(0)
    weight, image = torch.randn(3, 24, 24), torch.rand(1, 3, 24, 24)

    def score(x: Tensor) -> Tensor:
        return (x * weight).sum((1, 2, 3))

    found = pixel_attribution(score, image, 'integrated-gradients')
    expected = (weight * image[0]).abs().sum(0)
    torch.testing.assert_close(found, expected)
    weight.zero_()[:, :6, :6] = 1
    found = pixel_attribution(score, image, 'occlusion')
    assert found[:6, :6].sum() / found.sum() > 0.7
