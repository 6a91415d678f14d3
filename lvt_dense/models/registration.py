"""Import, and thereby register, every model whose framework can be imported.

``lvt_dense.models`` itself imports nothing, so that the backbones can be had
without MMDetection and MMSegmentation, and also where these are broken.
"""

from importlib import import_module

from lvt_dense.registry import MODELS, TASK_UTILS

from . import backbones, necks  # noqa: F401


def register(framework: str, *rooms: str) -> None:
    """Import rooms of this package, unless their framework is unusable.

    An error of the framework is kept for those who ask for a model that needs
    it; an error of a room is raised.

    Args:
        framework: Package whose models the rooms build on.
        *rooms: Subpackages of ``lvt_dense.models``.
    """
    try:
        import_module(f'{framework}.models')
    except Exception as error:  # frameworks assert versions, among others
        MODELS.unusable[framework] = TASK_UTILS.unusable[framework] = error
        return
    for room in rooms:
        import_module(f'lvt_dense.models.{room}')


register('mmdet', 'dense_heads', 'mono3d', 'data_preprocessors.det')
register('mmseg', 'decode_heads', 'losses', 'data_preprocessors.seg')
