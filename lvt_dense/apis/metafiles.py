"""README, metafile and model index of the recipes, from their headers.

``mim`` reads ``model-index.yml``, which names the metafiles, which name the
configs. The configs lie flat in one folder, so what describes a method lies in
``configs/_methods/METHOD``.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from lvt_dense.checkpoints.published import WHOLE_MODELS
from lvt_dense.compat.stack import import_stack
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

FOLDER = '_methods'


@dataclass(frozen=True)
class Method:
    """A head, for which there are recipes.

    Attributes:
        key: First word of the names of its configs.
        name: What it is called.
        task: What it does, in the words of ``mim``.
        title: Title of the paper.
        url: Page of the paper.
    """

    key: str
    name: str
    task: str
    title: str
    url: str


DETECTION, SEGMENTATION = 'Object Detection', 'Semantic Segmentation'
MONO3D = 'Monocular 3D Object Detection'
METHODS = (
    Method(
        'ssdlite',
        'SSDLite',
        DETECTION,
        'MobileNetV2: Inverted Residuals and Linear Bottlenecks',
        'https://arxiv.org/abs/1801.04381',
    ),
    Method(
        'retinanet',
        'RetinaNet',
        DETECTION,
        'Focal Loss for Dense Object Detection',
        'https://arxiv.org/abs/1708.02002',
    ),
    Method(
        'rtmdet',
        'RTMDet',
        DETECTION,
        'RTMDet: An Empirical Study of Designing Real-Time Object Detectors',
        'https://arxiv.org/abs/2212.07784',
    ),
    Method(
        'mask_rcnn',
        'Mask R-CNN',
        'Instance Segmentation',
        'Mask R-CNN',
        'https://arxiv.org/abs/1703.06870',
    ),
    Method(
        'deeplabv3',
        'DeepLabv3',
        SEGMENTATION,
        'Rethinking Atrous Convolution for Semantic Image Segmentation',
        'https://arxiv.org/abs/1706.05587',
    ),
    Method(
        'pspnet',
        'PSPNet',
        SEGMENTATION,
        'Pyramid Scene Parsing Network',
        'https://arxiv.org/abs/1612.01105',
    ),
    Method(
        'fpn',
        'Semantic FPN',
        SEGMENTATION,
        'Panoptic Feature Pyramid Networks',
        'https://arxiv.org/abs/1901.02446',
    ),
    Method(
        'segformer',
        'SegFormer',
        SEGMENTATION,
        'SegFormer: Simple and Efficient Design for Semantic Segmentation '
        'with Transformers',
        'https://arxiv.org/abs/2105.15203',
    ),
    Method(
        'monocon',
        'MonoCon',
        MONO3D,
        'Learning Auxiliary Monocular Contexts Helps Monocular 3D Object '
        'Detection',
        'https://arxiv.org/abs/2112.04628',
    ),
    Method(
        'fcos3d',
        'FCOS3D',
        MONO3D,
        'FCOS3D: Fully Convolutional One-Stage Monocular 3D Object Detection',
        'https://arxiv.org/abs/2104.10956',
    ),
)
_FIGURE = re.compile(
    r'Expected ((?:box )?mAP|mIoU) on (val\d*): ([\d.]+) \((.+?)\)'
    r'|Expected on (val\d*): box mAP ([\d.]+), mask mAP ([\d.]+) \((.+?)\)'
)


@dataclass(frozen=True)
class Recipe:
    """A config, as its header describes it.

    Attributes:
        name: File name without suffix.
        title: First sentence of the header.
        results: Published results, by name.
        source: Who published them.
        backbone: Name of the backbone, such as ``MobileViT s``.
        dataset: Class of the data set.
        parameters: Number of parameters of the model; None where a package
            that it needs is not installed.
    """

    name: str
    title: str
    results: dict[str, float]
    source: str
    backbone: str
    dataset: str
    parameters: int | None


def read_recipe(path: Path) -> Recipe:
    """Read a config and its header.

    Raises:
        UserError: It has no header.
    """
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith('#'):
            break
        lines.append(line[1:].strip())
    if not lines:
        raise UserError(f'{path} has no header that says what it is')
    text = ' '.join(lines)
    title = re.split(r'\.(?: |$)', ' '.join(lines[: lines.index('')]))[0]
    results, source = _read_results(text)
    cfg = Config.fromfile(path)
    backbone = cfg.model.backbone
    data = cfg.train_dataloader.dataset
    while 'dataset' in data or 'datasets' in data:
        data = data.get('dataset') or data['datasets'][0]
    return Recipe(
        name=path.stem,
        title=title,
        results=results,
        source=source,
        backbone=f'{backbone.type.split(".")[-1]} {backbone.get("arch", "")}',
        dataset=data['type'].split('.')[-1].removesuffix('Dataset'),
        parameters=count_parameters(cfg),
    )


def count_parameters(cfg: Config) -> int | None:
    """Count the parameters of the model of a config, if it builds here."""
    import_stack()
    try:
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            model = MODELS.build(cfg.model)
    except UserError:  # a package is missing
        return None
    return sum(parameter.numel() for parameter in model.parameters())


def _read_results(text: str) -> tuple[dict[str, float], str]:
    found = _FIGURE.search(text)
    if not found:
        return {}, ''
    if found[1]:
        return {found[1]: float(found[3])}, found[4]
    return {'box mAP': float(found[6]), 'mask mAP': float(found[7])}, found[8]


def render(configs: Path) -> dict[Path, str]:
    """Write the texts of all files that describe a folder of configs.

    Args:
        configs: Folder of configs, beside which ``model-index.yml`` lies.

    Returns:
        Texts by path, relative to the parent of the folder.

    Raises:
        UserError: A config has no header, or is of no known method.
    """
    files: dict[Path, str] = {}
    paths = sorted(configs.glob('*.py'))
    for method in METHODS:
        own = [p for p in paths if p.stem.startswith(f'{method.key}_')]
        paths = [p for p in paths if p not in own]
        if not own:
            continue
        recipes = [read_recipe(path) for path in own]
        folder = Path(configs.name, FOLDER, method.key)
        files[folder / 'metafile.yml'] = _metafile(method, recipes, folder)
        files[folder / 'README.md'] = _readme(method, recipes)
    if paths:
        raise UserError(
            f'{paths[0]} is of no method that lvt_dense.apis.metafiles knows'
        )
    index = dict(Import=[str(p) for p in files if p.name == 'metafile.yml'])
    files[Path('model-index.yml')] = _dump(index)
    return files


def write_metafiles(configs: Path) -> Iterator[Path]:
    """Write README, metafile and model index of a folder of configs.

    Yields:
        The path of each file.
    """
    for path, text in render(configs).items():
        write_atomically(configs.parent / path, text)
        yield configs.parent / path


def _metafile(method: Method, recipes: Sequence[Recipe], folder: Path) -> str:
    collection = {
        'Name': method.name,
        'Paper': {'Title': method.title, 'URL': method.url},
        'README': str(folder / 'README.md'),
    }
    return _dump(
        {
            'Collections': [collection],
            'Models': [_model(method, recipe) for recipe in recipes],
        }
    )


def _model(method: Method, recipe: Recipe) -> dict[str, Any]:
    model: dict[str, Any] = {
        'Name': recipe.name,
        'In Collection': method.name,
        'Config': f'configs/{recipe.name}.py',
        'Metadata': {
            'Architecture': [recipe.backbone.strip(), method.name],
            'Training Data': recipe.dataset,
            **_parameters(recipe),
        },
    }
    # mim lists a model by its results, so there is an entry without results
    result: dict[str, Any] = {
        'Task': method.task,
        'Dataset': recipe.dataset,
        'Metrics': {
            f'published {name}': value
            for name, value in recipe.results.items()
        },
    }
    model['Results'] = [result]
    url = _weights_of(recipe)
    if url:
        # of the official code: `lvt-dense convert` makes them ours
        model['Weights'] = url
    return model


def _parameters(recipe: Recipe) -> dict[str, int]:
    number = recipe.parameters
    return {} if number is None else {'Parameters': number}


def _weights_of(recipe: Recipe) -> str | None:
    """Return the URL of the official file of the whole model, if any."""
    return next((f.url for f in WHOLE_MODELS if f.name == recipe.name), None)


def _readme(method: Method, recipes: Sequence[Recipe]) -> str:
    rows = [
        f'| [`{recipe.name}`](../../{recipe.name}.py) | {recipe.title} | '
        f'{_result_cell(recipe)} | {_weights_cell(recipe)} |'
        for recipe in recipes
    ]
    return '\n'.join(
        [
            f'# {method.name}',
            '',
            f'[{method.title}]({method.url})',
            '',
            'The results are those that papers and official repositories '
            'state, not reproduced here. Weights are those of the official '
            'code; `lvt-dense convert` makes them ours.',
            '',
            '| config | what it is | published | weights |',
            '| --- | --- | --- | --- |',
            *rows,
            '',
            'Written by `lvt-dense zoo --metafiles configs` from the headers '
            'of the configs.',
            '',
        ]
    )


def _result_cell(recipe: Recipe) -> str:
    results = [f'{value:g} {name}' for name, value in recipe.results.items()]
    if not results:
        return '-'
    return f'{", ".join(results)} ({recipe.source})'


def _weights_cell(recipe: Recipe) -> str:
    url = _weights_of(recipe)
    return f'[official]({url})' if url else '-'


def _dump(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=79)
