"""Which class a part of a config names."""

from typing import Any

from mmengine.registry import Registry

from lvt_dense.utils.errors import UserError


def lookup_class(
    registry: Registry, part: Any, scope: str | None = None
) -> Any:
    """Look up what a part of a config would be built from.

    Args:
        registry: Where it would be built, such as MMEngine's ``DATASETS``.
        part: A dict with a ``type``, or the type itself: a name with or
            without its scope, or a class.
        scope: Scope of names that have none; by default the current one.

    Returns:
        The class, or None if there is none or its package does not import.
    """
    if isinstance(part, dict):
        scope = part.get('_scope_') or scope
        part = part.get('type')
    if not isinstance(part, str):
        return part
    try:
        with registry.switch_scope_and_registry(scope) as scoped:
            return scoped.get(part)
    except UserError:  # ours, which says why a class is missing
        raise
    except Exception:  # frameworks assert versions, among others
        return None


def find_class(
    registry: Registry, part: Any, scope: str | None = None
) -> type:
    """Find the class that a part of a config would be built from.

    Args:
        registry: See :func:`lookup_class`.
        part: See :func:`lookup_class`.
        scope: See :func:`lookup_class`.

    Raises:
        UserError: There is no such class.
    """
    found = lookup_class(registry, part, scope)
    if found is None:
        kind = part.get('type') if isinstance(part, dict) else part
        raise UserError(
            f'there is no {registry.name} {kind!r}: check its name, and '
            'whether the package that has it is installed'
        )
    return found
