"""Start from a trained model, whose head is adapted to other classes.

The best start is a detector or segmenter that was trained on a large data
set, then a backbone trained on ImageNet, then random weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import all_gather_object, get_world_size
from mmengine.runner import Runner
from torch import Tensor, nn

from lvt_dense.checkpoints.cache import DownloadError, fetch, is_available
from lvt_dense.checkpoints.locate import locate
from lvt_dense.checkpoints.model_files import read_model_file
from lvt_dense.checkpoints.published import WHOLE_MODELS
from lvt_dense.checkpoints.read import read_content
from lvt_dense.checkpoints.records import WeightFile
from lvt_dense.config import load_config
from lvt_dense.datasets.metainfo import (
    classes_of_benchmark,
    metainfo_of_checkpoint,
    metainfo_of_config,
)
from lvt_dense.datasets.own.heads import set_num_classes
from lvt_dense.models.backbones import PyramidBackbone, families
from lvt_dense.models.backbones.pretrained import (
    OFFICIAL,
    LoadReport,
    adapt_backbones,
    identify,
    is_switched_off,
    official_record,
)
from lvt_dense.models.backbones.timm_networks import PREFIX
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from .class_rows import RowLayout, build_shapes, find_layouts, pair_classes
from .official_weights import (
    NONE,
    backbones_of,
    published_start,
    takes_same_images,
)

AUTO = 'auto'
_SHOWN = 8  # names of classes that a line lists
_COST = (
    'this takes several times as many epochs, and with fewer than about ten '
    'thousand images, the result is worse (He et al., ICCV 2019)'
)


@dataclass
class Start:
    """What a training starts from.

    Attributes:
        pretrained: Weights of the backbones, as for ``--pretrained``; None
            for those of the config.
        lines: Description of the start, for the log.
        path: Checkpoint of a whole model; None for none.
        layouts: Layouts of the tensors of the model that depend on the
            classes; None for unknown layouts.
        pairs: Index of each common class in the checkpoint and in the data.
    """

    pretrained: str | None = None
    lines: list[str] = field(default_factory=list)
    path: str | None = None
    layouts: Mapping[str, RowLayout | None] = field(default_factory=dict)
    pairs: list[tuple[int, int]] = field(default_factory=list)

    def adapt(
        self, state: Mapping[str, Tensor], model: nn.Module
    ) -> dict[str, Tensor]:
        """Fit the tensors of the checkpoint to a model.

        Args:
            state: Tensors of the checkpoint.
            model: The model; rows of classes that the checkpoint does not
                have keep its values.

        Returns:
            The tensors that the checkpoint fills, as a whole or in part.
        """
        found = adapt_backbones(model, state, PyramidBackbone)
        own = model.state_dict()
        for key, layout in self.layouts.items():
            old = found.pop(key, None)
            if old is None or layout is None:
                continue
            moved = layout.copy_rows(old.to(own[key]), own[key], self.pairs)
            if moved is not None:
                found[key] = moved
        return found


def choose_start(
    cfg: Config,
    start: str | None,
    pretrained: str | None = None,
    is_resumed: bool = False,
) -> Start:
    """Choose what a training starts from.

    Args:
        cfg: Config with its data; ``load_from`` is set to the checkpoint of
            a whole model.
        start: ``auto`` for the best published start, ``none`` for random
            weights, a name of ``lvt-dense weights list``, or a checkpoint;
            None leaves all to the config.
        pretrained: Weights of the backbones, if they are asked for.
        is_resumed: Whether the training is resumed from a checkpoint.

    Raises:
        UserError: The start is not available, cannot be used, or is not the
            only one.
    """
    own = Start(pretrained=pretrained)
    if start is None:
        return own
    if start == AUTO:
        is_chosen = is_resumed or pretrained or cfg.get('load_from')
        return own if is_chosen else _best_published(cfg)
    for is_given, other in (
        (is_resumed, '--resume continues from a checkpoint'),
        (pretrained, f'--pretrained {pretrained} is given'),
        (cfg.get('load_from'), f'load_from={cfg.get("load_from")} is set'),
    ):
        if is_given:
            raise UserError(f'--start {start}, but {other}: give one of them')
    if start == NONE:
        return Start(NONE, ['start: random weights (--start none)'])
    if start.startswith(PREFIX) or start in _backbone_files():
        line = f'start: backbone {start}; the head has random weights'
        return Start(start, [line])
    return _from_checkpoint(cfg, start)


def _backbone_files() -> set[str]:
    return {
        record.name
        for family in families().values()
        for records in family.weights.values()
        for record in records
    }


# ------------------------------------------------------------------ published
def _best_published(cfg: Config) -> Start:
    if is_switched_off():
        return Start()  # the log names the switch and the random backbones
    missing = []
    for record in _matching_records(cfg):
        fault = _fault_of(record)
        if fault is None:
            return _from_checkpoint(cfg, record)
        missing.append(f'{record.name} ({fault})')
    lines = []
    if missing:
        lines.append(
            f'WARNING: start: {shorten(missing)} would be a better start: '
            'download it with "lvt-dense weights fetch NAME"'
        )
    return _from_backbones(cfg, lines)


def _fault_of(record: WeightFile) -> str | None:
    """Fetch a file; return why it is not available, or None."""
    if not is_available(record):
        return 'cannot be reached'
    try:
        fetch(record)
    except DownloadError as error:
        return str(error)
    return None


def _from_backbones(cfg: Config, lines: list[str]) -> Start:
    """Start from ImageNet's backbones, if there are any."""
    parts = list(backbones_of(cfg))
    records = []
    for part in parts:
        if not part.is_ours:
            return Start(lines=lines)  # as its config says
        record = published_start(part)
        if record is None and part.cfg.get('init_cfg'):
            return Start(lines=lines)  # a file of one's own
        if record is None:
            record = official_record(part.build_empty())
            if record and not takes_same_images(cfg, record):
                record = None
        records.append(record)
    if None in records or not records:
        titles = ', '.join(part.title for part in parts) or 'the model'
        line = (
            f'WARNING: start: no weights are published for {titles} and '
            'images with this normalization, so training starts from random '
            f'ones: {_COST}'
        )
        return Start(lines=[*lines, line])
    for record in filter(None, records):
        fault = _fault_of(record)
        if fault is not None:
            line = (
                f'WARNING: start: {record.name} is not available ({fault}), '
                f'so training starts from random weights: {_COST}'
            )
            return Start(NONE, [*lines, line])
    names = ', '.join(r.name for r in records if r)
    line = (
        f'start: backbone {names}, trained on ImageNet; no trained model of '
        'this architecture is available, so the head has random weights'
    )
    return Start(OFFICIAL, [*lines, line])


def _matching_records(cfg: Config) -> Iterator[WeightFile]:
    """Find published models whose architecture is that of a config.

    Yields:
        The best first: the recipe's own, then the one with the most classes
        in common.
    """
    parts = [p for p in backbones_of(cfg) if p.is_ours]
    if len(parts) != 1:
        return
    cls: type[PyramidBackbone] = parts[0].cls
    arch = _arch_of(parts[0].cfg, cls)
    stem = Path(cfg.filename or '').stem
    classes = metainfo_of_config(cfg, 'train').get('classes') or ()
    own: nn.Module | None = None
    found = []
    others: dict[str, bool] = {}
    for record in WHOLE_MODELS:
        if f'_{cls.family}_' not in record.name.replace('.', '_'):
            continue
        if not takes_same_images(cfg, record):
            continue
        if record.recipe not in others:
            recipe = load_config(f'lvt_dense::{record.recipe}.py')
            is_like = _arch_of(recipe.model.backbone, cls) == arch
            if is_like:
                own = own or build_shapes(cfg.model, _scope(cfg))
                is_like = _is_like(recipe, own, len(classes))
            others[record.recipe] = is_like
        if others[record.recipe]:
            common = len(pair_classes(_classes_of(record), classes))
            found.append((record.recipe != stem, -common, record))
    yield from (record for *_, record in sorted(found, key=lambda x: x[:2]))


def _arch_of(backbone: Mapping[str, Any], cls: type[PyramidBackbone]) -> Any:
    """Return the variant that a config of a backbone names."""
    return backbone.get('arch') or cls.default_arch


def _is_like(recipe: Config, own: nn.Module, num_classes: int) -> bool:
    """Whether a recipe has the tensors of a model, and parts of its kinds."""
    set_num_classes(recipe.model, num_classes, _scope(recipe))
    other = build_shapes(recipe.model, _scope(recipe))
    if type(other) is not type(own):
        return False
    kinds = [{n: type(c) for n, c in m.named_children()} for m in (own, other)]
    shapes = [
        {k: v.shape for k, v in m.state_dict().items()} for m in (own, other)
    ]
    return kinds[0] == kinds[1] and shapes[0] == shapes[1]


def _classes_of(record: WeightFile) -> tuple[str, ...]:
    return classes_of_benchmark(record.dataset) if record.dataset else ()


def _scope(cfg: Config) -> str:
    return cfg.get('default_scope') or 'mmengine'


# ----------------------------------------------------------------- checkpoint
def _from_checkpoint(cfg: Config, source: str | WeightFile) -> Start:
    """Start from a whole model.

    Raises:
        UserError: The checkpoint cannot be had, or is of another network.
    """
    named = {record.name: record for record in WHOLE_MODELS}
    if isinstance(source, str) and not Path(source).exists():
        source = named.get(source, source)
    is_record = isinstance(source, WeightFile)
    title = source.name if isinstance(source, WeightFile) else source
    try:
        path = locate(source)
    except UserError as error:
        raise UserError(f'--start {title}: {error}') from error
    classes = tuple(metainfo_of_config(cfg, 'train').get('classes') or ())
    model, layouts = find_layouts(cfg.model, _scope(cfg), len(classes))
    state = read_model_file(path).state
    if not is_record and not _is_same_network(model, state):
        return _backbone_alone(title, model, state)
    trained = (
        _classes_of(source)
        if isinstance(source, WeightFile)
        else metainfo_of_checkpoint(read_content(path)).get('classes') or ()
    )
    start = Start(path=str(path), lines=[_describe(source, path)])
    start.layouts = _checked(layouts, state, trained)
    if trained:
        start.pairs = pair_classes(trained, classes)
    start.lines += _describe_rows(trained, classes, start.pairs)
    unknown = [key for key in layouts if start.layouts[key] is None]
    if unknown:
        start.lines.append(
            f'WARNING: start: {shorten(unknown)} depends on the classes, but '
            'its layout is unknown or does not fit, so it keeps its random '
            'weights'
        )
    cfg.load_from = str(path)
    return start


def _checked(
    layouts: Mapping[str, RowLayout | None],
    state: Mapping[str, Tensor],
    trained: tuple[str, ...],
) -> dict[str, RowLayout | None]:
    """Drop layouts that the tensors of a checkpoint do not have."""
    checked: dict[str, RowLayout | None] = {}
    for key, layout in layouts.items():
        if layout is not None and key in state:
            count = layout.count_classes(len(state[key]))
            if count is None or (trained and count != len(trained)):
                layout = None
        checked[key] = layout
    return checked


def _is_same_network(model: nn.Module, state: Mapping[str, Tensor]) -> bool:
    """Whether a checkpoint is of the network, but for its head."""
    own = model.state_dict()
    own = {k: v for k, v in own.items() if k.startswith('backbone.')} or own
    given = adapt_backbones(model, state, PyramidBackbone)
    fits = sum(k in given and given[k].shape == v.shape
               for k, v in own.items())  # fmt: skip
    return 2 * fits >= len(own)


def _backbone_alone(
    title: str, model: nn.Module, state: Mapping[str, Tensor]
) -> Start:
    if identify(state, families().values()) is not None:
        line = f'start: backbone {title}; the head has random weights'
        return Start(title, [line])
    report = LoadReport(title, type(model).__name__, 'lvt_dense')
    report.compare(dict(state), model.state_dict())
    raise UserError(
        f'--start {title} is a checkpoint of another network: {report}; '
        'weights of the backbone alone are for --pretrained'
    )


def _describe(source: str | WeightFile, path: Path) -> str:
    if not isinstance(source, WeightFile):
        return f'start: all weights of {source}'
    is_checked = source.sha256 or source.size
    return (
        f'start: all weights of {source.name} by {source.source} '
        f'({source.describe_result()} on {source.dataset} as published; '
        f'license: {source.license or "none stated"}; content '
        f'{"verified" if is_checked else "not verified"}), {path}'
    )


def _describe_rows(
    old: tuple[str, ...],
    new: tuple[str, ...],
    pairs: list[tuple[int, int]],
) -> list[str]:
    if not old:
        return [
            'WARNING: start: the checkpoint does not name its classes, so '
            f'all {len(new)} classes start from random weights in the head'
        ]
    kept = [new[i] for _, i in pairs]
    added = [name for name in new if name not in kept]
    return [
        f'start: {len(kept)} of {len(old)} classes kept by name'
        + (f': {shorten(kept, _SHOWN)}' if kept else '')
        + (f'; {len(added)} new: {shorten(added, _SHOWN)}' if added else '')
    ]


# ---------------------------------------------------------------------- runner
def check_same_start(runner: Runner, start: Start) -> None:
    """Check that all processes of a run have found the same start.

    Raises:
        UserError: Some could reach a server, and others could not.
    """
    if get_world_size() == 1:
        return
    own = (start.pretrained, start.path and Path(start.path).name)
    found = all_gather_object(own)
    if len(set(found)) > 1:
        raise UserError(
            'the processes would start from different weights: '
            f'{shorten(sorted({str(f) for f in found}))}; fetch the file '
            'first with "lvt-dense weights fetch NAME", or give --start'
        )
