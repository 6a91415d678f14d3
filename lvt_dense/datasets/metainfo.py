"""Names and colors of the classes, from checkpoint, config or data set."""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import list_from_file
from mmengine.registry import DATASETS

from lvt_dense.checkpoints.locate import locate
from lvt_dense.checkpoints.read import read_content
from lvt_dense.config import dataset_cfgs
from lvt_dense.utils.config_class import find_class

Metainfo = dict[str, Any]
# Data sets that published models are trained on.
_BENCHMARKS = dict(
    coco=('mmdet', 'CocoDataset'),
    voc=('mmseg', 'PascalVOCDataset'),
    ade20k=('mmseg', 'ADE20KDataset'),
)


def classes_of_benchmark(name: str) -> tuple[str, ...]:
    """Return the classes of ``coco``, ``voc`` or ``ade20k``."""
    scope, kind = _BENCHMARKS[name]
    found = vars(find_class(DATASETS, kind, scope))
    return tuple(found['METAINFO']['classes'])


def find_metainfo(cfg: Config, checkpoint: str | Path) -> Metainfo:
    """Find the classes of a trained model.

    The checkpoint takes precedence over the config, and the config over the
    class of its data set.

    Args:
        cfg: Config; its ``default_scope`` must be set up.
        checkpoint: File of a training, a converted one, or a URL.

    Returns:
        ``classes`` and ``palette``, as far as they are known.
    """
    return merge_metainfo(
        metainfo_of_config(cfg),
        metainfo_of_checkpoint(read_content(locate(checkpoint), checkpoint)),
    )


def merge_metainfo(known: Metainfo, trained: Metainfo) -> Metainfo:
    """Prefer what a checkpoint says to what a config or data set says."""
    names = tuple(trained.get('classes') or ())
    if not names or names == tuple(known.get('classes') or ()):
        return {**known, **trained}
    # Colors of other classes would be those of no class in particular.
    return trained


def metainfo_of_checkpoint(content: Any) -> Metainfo:
    """Read what a checkpoint says of the data set that it is trained on.

    Args:
        content: All that is in the file.

    Returns:
        MMEngine's ``dataset_meta``, with keys in lower case; empty if the
        file has none.
    """
    meta = content.get('meta') if isinstance(content, dict) else None
    if not isinstance(meta, dict):
        return {}
    found = meta.get('dataset_meta')
    if not isinstance(found, dict):  # before MMEngine they stood here
        found = {k: meta[k] for k in ('CLASSES', 'PALETTE') if meta.get(k)}
    return _tidy({str(key).lower(): value for key, value in found.items()})


def metainfo_of_config(cfg: Config, split: str = 'test') -> Metainfo:
    """Read the classes of the data set of a config, without building it."""
    dataset = next(dataset_cfgs(cfg, split), None)
    if dataset is None:
        return {}
    found = dict(getattr(find_class(DATASETS, dataset), 'METAINFO', {}))
    given = _tidy(dict(dataset.get('metainfo') or {}))
    if 'classes' in given and 'palette' not in given:
        given['palette'] = _pick_colors(found, given['classes'])
    return _tidy({**found, **given})


def _pick_colors(metainfo: Metainfo, classes: tuple[str, ...]) -> list | None:
    """Return the colors of some of the classes, or None."""
    palette = metainfo.get('palette')
    if not isinstance(palette, (list, tuple)):
        return None
    colors = dict(zip(metainfo.get('classes') or (), palette))
    picked = [colors.get(name) for name in classes]
    return None if None in picked else picked


def _tidy(metainfo: Metainfo) -> Metainfo:
    """Return names as a tuple of strings, colors only if complete."""
    classes = metainfo.get('classes')
    if isinstance(classes, str):  # a file with a name a line, or one name
        is_file = Path(classes).is_file()
        classes = list_from_file(classes) if is_file else [classes]
    metainfo = dict(metainfo)
    if isinstance(classes, (list, tuple)) and classes:
        metainfo['classes'] = tuple(map(str, classes))
    else:
        metainfo.pop('classes', None)
    palette = metainfo.get('palette')
    count = len(metainfo.get('classes', ()))
    if isinstance(palette, (list, tuple)) and len(palette) == count:
        metainfo['palette'] = [tuple(map(int, color)) for color in palette]
    else:
        metainfo.pop('palette', None)
    return metainfo
