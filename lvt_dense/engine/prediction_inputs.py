"""Images to predict on, from paths, folders, patterns and splits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any

from mmcv.transforms import LoadAnnotations
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.metainfo import Metainfo, metainfo_of_config
from lvt_dense.engine.data_checks import check_data
from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import IMAGE_SUFFIXES
from lvt_dense.visualization.pictures import is_own_picture, name_pictures

# What "lvt-dense predict" takes for a video.
VIDEO_SUFFIXES = (
    *('.mp4', '.avi', '.mov', '.mkv'),
    *('.webm', '.m4v', '.mpg', '.mpeg'),
)
SPLITS = ('train', 'val', 'test')


@dataclass
class Inputs:
    """Images and what is needed to read them.

    Attributes:
        infos: What the pipeline begins with, one dict an image; or, in the
            place of a dict, the error that there is none.
        paths: Paths of the images.
        names: Names of their pictures, without suffix.
        pipeline: Makes a sample of an info.
        metainfo: Classes of the ground truth, or of the config.
        has_truth: Whether there is ground truth.
    """

    infos: list[dict | Exception]
    paths: list[str]
    names: list[str]
    pipeline: Compose
    metainfo: Metainfo
    has_truth: bool = field(default=False)

    def __len__(self) -> int:
        return len(self.infos)

    def load(self, index: int) -> Any:
        """Run the pipeline on an image.

        Raises:
            Exception: Whatever reading the image raises.
        """
        info = self.infos[index]
        if isinstance(info, Exception):
            raise info
        data = self.pipeline(dict(info))
        if data is None:
            raise UserError(f'image {self.paths[index]} is not usable')
        return data


def find_inputs(
    cfg: Config,
    source: str,
    out: str,
    annotations: str | None = None,
    limit: int | None = None,
) -> Inputs:
    """Find images.

    Args:
        cfg: Config of any task; its ``default_scope`` must be set up.
        source: An image, a folder, a glob pattern, or a split of the config's
            data set: ``train``, ``val`` or ``test``.
        out: Folder of the results, which holds no input.
        annotations: Ground truth of the images of ``source``: a COCO
            annotation file, or a folder of label maps.
        limit: Number of images at most.

    Raises:
        UserError: There is no image, or the annotations do not fit.
    """
    if source in SPLITS and not Path(source).exists():
        check_data(cfg, [source])
        dataset = _build_dataset(next(dataset_cfgs(cfg, source)), cfg)
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        return _with_truth(infos, dataset, limit)
    paths = find_images(source, skipped=out)
    if annotations is not None:
        folder = _root(source) or paths[0].parent
        dataset = _annotated(cfg, folder, annotations)
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        wanted = {path.resolve() for path in paths}
        infos = [i for i in infos if Path(i['img_path']).resolve() in wanted]
        if not infos:
            raise UserError(
                f'--annotations {annotations} knows none of the images'
            )
        return _with_truth(infos, dataset, limit, _root(source))
    paths = paths[:limit]
    dataset = next(dataset_cfgs(cfg, 'test'))
    return Inputs(
        infos=list(_describe(find_class(DATASETS, dataset), paths)),
        paths=[str(path) for path in paths],
        names=name_pictures(paths, _root(source)),
        pipeline=_without_annotations(Compose(dataset.pipeline)),
        metainfo=metainfo_of_config(cfg),
    )


def find_images(source: str, skipped: str | Path | None = None) -> list[Path]:
    """Find the images of a path, a folder or a glob pattern, in order.

    Args:
        source: The path or pattern.
        skipped: A folder inside of ``source`` whose files are left out. So
            are pictures that this package has drawn, unless ``source`` names
            the very file.

    Raises:
        UserError: There is none.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        found = [
            p for p in path.rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES
        ]
    elif path.suffix.lower() in VIDEO_SUFFIXES:
        raise UserError(
            f'{source} is a video, but this command takes only images; '
            '"lvt-dense predict MODEL VIDEO" takes videos'
        )
    elif path.is_file():
        return [path]
    else:
        found = [Path(p) for p in glob(str(path), recursive=True)]
    if skipped is not None:
        folder, root = Path(skipped).resolve(), path.resolve()
        if folder != root:
            found = [p for p in found if folder not in p.resolve().parents]
    found = [p for p in found if p.is_file() and not is_own_picture(p)]
    if not found:
        raise UserError(
            f'{source}: no image; give an image, a folder or a pattern of '
            f'{", ".join(IMAGE_SUFFIXES)} files, or one of {", ".join(SPLITS)}'
        )
    return sorted(found)


def _root(source: str) -> Path | None:
    """Return the folder that names are relative to, if the source is one."""
    path = Path(source).expanduser()
    return path if path.is_dir() else None


def _with_truth(
    infos: Sequence[dict],
    dataset: Any,
    limit: int | None,
    root: Path | None = None,
) -> Inputs:
    infos = infos[:limit]
    paths = [info['img_path'] for info in infos]
    return Inputs(
        infos=list(infos),
        paths=paths,
        names=name_pictures(paths, root),
        pipeline=dataset.pipeline,
        metainfo=dict(dataset.metainfo),
        has_truth=True,
    )


def _describe(
    dataset_cls: type, paths: Iterable[Path]
) -> Iterable[dict | Exception]:
    """Yield the infos of images without annotations.

    A data set whose images need more than their path says so with a static
    method ``image_info(path)``.
    """
    describe = getattr(dataset_cls, 'image_info', _image_info)
    for number, path in enumerate(paths):
        try:
            yield dict(describe(str(path)), img_id=number)
        except UserError as error:
            yield error


def _image_info(path: str) -> dict:
    return dict(img_path=path)


def _without_annotations(pipeline: Compose) -> Compose:
    """Leave out the steps that read annotations.

    Those are the frameworks' own, and any with an attribute
    ``needs_annotations``.
    """
    pipeline.transforms = [
        step
        for step in pipeline.transforms
        if not isinstance(step, LoadAnnotations)
        and not getattr(step, 'needs_annotations', False)
    ]
    return pipeline


def _build_dataset(dataset: dict, cfg: Config) -> Any:
    pipeline = next(dataset_cfgs(cfg, 'test')).pipeline
    dataset = dict(dataset, pipeline=pipeline, test_mode=True)
    return DATASETS.build(dataset)


def _annotated(cfg: Config, folder: Path, annotations: str) -> Any:
    """Build a data set of the images in a folder."""
    given = Path(annotations)
    dataset = dict(next(dataset_cfgs(cfg, 'test')), data_root='')
    dataset.pop('indices', None)
    if given.suffix == '.json':
        dataset.update(ann_file=annotations, data_prefix=dict(img=str(folder)))
    elif given.is_dir() and _reads_label_maps(find_class(DATASETS, dataset)):
        prefix = dict(img_path=str(folder), seg_map_path=annotations)
        dataset.update(ann_file='', data_prefix=prefix)
    else:
        raise UserError(
            f'--annotations {annotations}: give a COCO .json file, or for '
            'segmentation a folder of label maps; for other ground truth '
            'name a split of the config (train, val, test) as the source'
        )
    if not given.exists():
        raise UserError(f'--annotations {annotations} is not there')
    return _build_dataset(dataset, cfg)


def _reads_label_maps(dataset_cls: type) -> bool:
    try:
        from mmseg.datasets import BaseSegDataset
    except ImportError:
        return False
    return issubclass(dataset_cls, BaseSegDataset)
