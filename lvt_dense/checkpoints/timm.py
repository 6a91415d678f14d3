"""timm's published weights, and how its networks name their tensors."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from .layout import Layout, StateDict, Target, find_prefixes
from .records import WeightFile

HUB_FILE = 'model.safetensors'
TRUNK = 'trunk.'  # before every key of ours
SPLIT = '.batch_norm.'  # where a norm was taken apart


class TimmLayout(Layout):
    """Names of timm's classifiers, and of its ``features_only`` networks.

    The latter write ``stages_0.blocks`` for ``stages.0.blocks``.

    Args:
        own: Keys of the backbone.
        whole: timm's keys of the whole network, of which the backbone may
            have dropped the classifier and stages that no level needs.
    """

    def __init__(self, own: Iterable[str], whole: Iterable[str]) -> None:
        super().__init__('timm', (), ())
        self.own = {_flat(timm_key(key)): key for key in own}
        self.whole = {_flat(key) for key in whole}

    def prefixes_of(self, keys: Iterable[str]) -> list[str]:
        """Find what stands before the keys of this network in a file.

        Half of the keys have to be there, so that a file that lacks some is
        still reported on.
        """
        flat = {_flat(key): key for key in keys}
        return [
            flat[next(key for key in flat if key.startswith(p))][: len(p)]
            for p in find_prefixes(flat, self.own, '_')
        ]

    def to_own(
        self, state: Mapping[str, Tensor], target: Target | None = None
    ) -> tuple[StateDict, list[str]]:
        """Rename timm's tensors."""
        own, unknown = {}, []
        for key, value in state.items():
            name = _flat(key)
            if name in self.own:
                own[self.own[name]] = value
            elif name not in self.whole:
                unknown.append(key)
        return own, unknown


def timm_key(key: str) -> str:
    """Return timm's name of one of our tensors."""
    return key.removeprefix(TRUNK).replace(SPLIT, '.')


def _flat(key: str) -> str:
    return key.replace('.', '_')


def weight_file(name: str, cfg: Any) -> WeightFile | None:
    """Describe the published weights of a network of timm.

    Args:
        name: The network, with the tag of the weights.
        cfg: Its ``PretrainedCfg`` of timm.

    Returns:
        The record; None if timm names no file.
    """
    if cfg.hf_hub_id:
        repository, _, revision = cfg.hf_hub_id.partition('@')
        page = f'https://huggingface.co/{repository}'
        file = cfg.hf_hub_filename or HUB_FILE
        url = f'{page}/resolve/{revision or "main"}/{file}'
    elif cfg.url:
        url, page = cfg.url, cfg.origin_url
    else:
        return None
    return WeightFile(
        name=f'timm_{name}',
        url=url,
        layout='timm',
        source='timm',
        license=cfg.license,
        page=page,
        input_norm=input_norm(cfg),
    )


def input_norm(cfg: Any) -> dict[str, Any]:
    """Return the norm of the images, in the terms of data preprocessors.

    Args:
        cfg: ``PretrainedCfg`` of timm, whose images are RGB from 0 to 1.
    """
    return dict(
        mean=[round(255 * value, 4) for value in cfg.mean],
        std=[round(255 * value, 4) for value in cfg.std],
        bgr_to_rgb=True,
    )
