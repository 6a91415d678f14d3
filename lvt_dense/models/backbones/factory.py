"""Backbones by name: ``mobilevit_xxs``, or ``timm:NAME[.TAG]``."""

from typing import Any

from lvt_dense.utils.text import suggest

from .base import PyramidBackbone, families
from .pretrained import OFFICIAL
from .timm import Timm
from .timm_networks import PREFIX, check_name


def list_backbones() -> list[str]:
    """List the names that :func:`build_backbone` takes."""
    return [
        f'{family}_{arch}'
        for family, cls in families().items()
        for arch in cls.arch_settings
    ]


def parse_backbone(name: str) -> tuple[type[PyramidBackbone], str]:
    """Return the class and ``arch`` of a name.

    Args:
        name: One of :func:`list_backbones`, or ``timm:NAME[.TAG]``.

    Raises:
        ValueError: There is no such backbone; the message offers near names.
        UserError: timm cannot be imported.
    """
    if name.startswith(PREFIX):
        arch = name.removeprefix(PREFIX)
        check_name(arch)
        return Timm, arch
    names = list_backbones()
    if name not in names:
        near = suggest(name, names, cutoff=0.4)
        hint = f'{near} ' if near else ''
        raise ValueError(
            f'there is no backbone {name!r}; {hint}'
            f'lvt_dense.list_backbones() names all {len(names)}; those of '
            'timm are timm:NAME'
        )
    return next(
        (cls, arch)
        for family, cls in families().items()
        for arch in cls.arch_settings
        if name == f'{family}_{arch}'
    )


def build_backbone(
    name: str, pretrained: bool | str = False, **kwargs: Any
) -> PyramidBackbone:
    """Build a backbone by name.

    Args:
        name: One of :func:`list_backbones`, or ``timm:NAME[.TAG]`` for any
            network of timm, see
            :class:`~lvt_dense.models.backbones.timm.Timm`.
        pretrained: True loads the official weights of the variant, a string
            those of a file, a URL or the like, see
            :func:`~lvt_dense.models.backbones.pretrained.load_backbone`.
        **kwargs: Arguments of the family's class, except ``arch``.

    Returns:
        The backbone. Without ``pretrained``, call its ``init_weights()`` to
        initialize it or to load the checkpoint of ``init_cfg``.

    Raises:
        ValueError: There is no such backbone, or an argument is out of range.
        UserError: The weights cannot be had, or do not fit.
    """
    cls, arch = parse_backbone(name)
    if not pretrained:
        return cls(arch, **kwargs)
    if kwargs.get('init_cfg'):
        raise ValueError('give pretrained or init_cfg, not both')
    checkpoint = OFFICIAL if pretrained is True else str(pretrained)
    init = dict(type='Pretrained', checkpoint=checkpoint)
    backbone = cls(arch, init_cfg=init, **kwargs)
    backbone.init_weights()
    return backbone
