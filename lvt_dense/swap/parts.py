"""Find the trained backbones in the config of a model."""

from collections.abc import Iterator

from lvt_dense.errors import UserError

# Networks that are trained already and stay as they are.
FINISHED = ('teacher', 'reid')


def trained_parts(model: dict, path: str = 'model') -> Iterator[tuple]:
    """Parts of a model that hold a backbone which is to be trained.

    Args:
        model: The ``model`` of a config.
        path: Its name in messages.

    Yields:
        Config of the part, and its path such as ``'model.detector'``.

    Raises:
        UserError: The backbone is not one of MMEngine's registry.
    """
    backbone = model.get('backbone')
    if isinstance(backbone, dict):
        if 'type' not in backbone:
            raise UserError(
                f'{path}.backbone has no type: it is not built from '
                "OpenMMLab's registry, so it cannot be swapped"
            )
        yield model, path
        return
    for key, value in model.items():
        if isinstance(value, dict) and not key.startswith(FINISHED):
            yield from trained_parts(value, f'{path}.{key}')


def has_finished_network(model: dict) -> bool:
    """Whether a teacher or the like looks at the same images."""
    return any(key.startswith('teacher') for key in model)
