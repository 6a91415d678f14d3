"""Export the model of one config with random weights."""

import copy
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import torch
import torch.nn.functional as F
from export_sweep.tensorrt import list_lacking
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope, init_default_scope
from swap_sweep.sweep import fingerprint
from swap_sweep.trial import at_small_size, listed_backbones
from torch import Tensor, nn

from lvt_dense import swap_backbone
from lvt_dense.apis.export import export
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.deploy.formats import FORMATS
from lvt_dense.utils.errors import UserError

# Height and width in pixels. The second size is for models whose smallest
# level must hold a kernel of 3 x 3.
SIZES = ((96, 128), (256, 320))
VERDICTS = {
    'whole': 'exported with decoding and suppression, equal to PyTorch',
    'raw': 'exported up to the maps, equal to PyTorch; the reason says why',
    'converted': 'whole, but nothing here runs it to compare',
    'converted raw': 'up to the maps, but nothing here runs it to compare',
    'refused': 'not possible; the message says why',
    'differs': 'exported, but not equal to PyTorch',
    'missing': 'needs a package that is not installed here',
    'failed': 'not exported, and no message of ours says why',
    'apart': 'has no pyramid to replace, or is no model',
}

# What a model that exports whole is called if only its maps do.
AS_RAW = {'whole': 'raw', 'converted': 'converted raw'}


def examine_export(
    name: str, backbone: str, known: dict[str, dict], kind: str = 'onnx'
) -> dict:
    """Export one config, whole or else raw.

    Args:
        name: The config.
        backbone: Name of the backbone to swap in; empty for the config's
            own.
        known: Rows of models examined before, by their fingerprints.
        kind: Format of the exported file.

    Returns:
        A row: config, old backbone, verdict, reason, the differences from
        PyTorch, and the fingerprint of the model.
    """
    row = dict(config=name, old='', verdict='apart', reason='', gaps={})
    try:
        cfg = load_config(name, import_custom_modules=False)
        row['old'] = ', '.join(listed_backbones(cfg.model))
        if backbone:
            cfg = swap_backbone(cfg, backbone)
    except Exception as error:  # packages have configs that do not load
        return dict(row, reason=first_line(error))
    row['before'] = fingerprint(cfg, backbone)
    if row['before'] in known:
        same = known[row['before']]
        return dict(same, config=name, old=row['old'], same_as=same['config'])
    return dict(row, **try_export(cfg, kind))


def try_export(cfg: Config, kind: str = 'onnx') -> dict[str, Any]:
    """Export a model whole, or else raw.

    Args:
        cfg: Its config.
        kind: Format of the exported file.

    Returns:
        Verdict, reason, differences and size; of ONNX files also what
        TensorRT lacks, by its table.
    """
    first = _try_sizes(cfg, kind, raw=False)
    if first['verdict'] != 'refused':
        return first
    second = _try_sizes(cfg, kind, raw=True)
    if second['verdict'] in AS_RAW:
        verdict = AS_RAW[second['verdict']]
        return dict(second, verdict=verdict, reason=first['reason'])
    return first


def _try_sizes(cfg: Config, kind: str, raw: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for size in SIZES:
        found = _try(cfg, kind, size, raw)
        if found['verdict'] in AS_RAW or _is_final(found):
            break
    return found


def _is_final(found: dict[str, Any]) -> bool:
    """Return whether a verdict holds for another size as well."""
    refused = found['verdict'] == 'refused'
    return found['verdict'] == 'missing' or (
        refused and not found['reason'].startswith('--size')
    )


def _try(
    cfg: Config, kind: str, size: tuple[int, int], raw: bool
) -> dict[str, Any]:
    row: dict[str, Any] = dict(verdict='failed', reason='', size=size)
    with tempfile.TemporaryDirectory() as folder:
        try:
            cfg = Config(cfg.to_dict(), filename=cfg.filename)
            checkpoint = make_checkpoint(cfg, size, Path(folder))
            out = str(Path(folder, 'model')) + FORMATS[kind]
            gaps = export(cfg, checkpoint, out, kind=kind, size=size, raw=raw)
            if kind == 'onnx':
                row['tensorrt_lacks'] = list_lacking(onnx.load(out))
        except UserError as error:
            message = str(error)
            differs = 'nothing was written' in message
            row['verdict'] = 'differs' if differs else 'refused'
            return dict(row, reason=message)
        except Exception as error:  # what we are looking for
            if is_missing_package(error):
                row['verdict'] = 'missing'
            return dict(row, reason=first_line(error))
    if not gaps:
        return dict(row, verdict='converted')
    if gaps.get('detections') == 0:
        return dict(row, reason='found nothing, so nothing was compared')
    if gaps.get('classes') == 1:
        return dict(row, reason='one class in all pixels, which proves little')
    gaps = {name: float(f'{value:.2g}') for name, value in gaps.items()}
    return dict(row, verdict='whole', gaps=gaps)


def make_checkpoint(cfg: Config, size: tuple[int, int], folder: Path) -> str:
    """Write random weights whose predictions differ from each other.

    Args:
        cfg: Config of the model; its model is changed to a small one.
        size: Height and width of the images.
        folder: Where the file is written.
    """
    import_stack()
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    cfg.model = at_small_size(cfg.model, max(size))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        # Some detectors write into the config that they are built of.
        model = MODELS.build(copy.deepcopy(cfg.model))
        model.init_weights()
    spread(model)
    balance_classes(model, size)
    path = folder / 'weights.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return str(path)


@torch.no_grad()
def spread(model: nn.Module) -> None:
    """Make weights such that no two cells of the maps look the same.

    A fresh head has tiny weights and a bias against all classes: it finds
    nothing, or everything alike. Heads of distances give boxes that are
    empty, so what has four channels is made larger.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
            module.running_mean.normal_(0, 0.1)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = module.weight[0].numel()
            least = 0.5 * fan_in**-0.5
            if float(module.weight.std()) < least:
                module.weight.normal_(0, fan_in**-0.5)
            if module.bias is not None:
                module.bias.clamp_(min=-2.0)
                if module.weight.shape[0] == 4:
                    module.bias.add_(1.0)


@torch.no_grad()
def balance_classes(model: nn.Module, size: tuple[int, int]) -> None:
    """Give all classes of a segmenter the same mean score.

    Otherwise a few of them win in all pixels.

    Args:
        model: Any model; what has no last layer of this kind stays as it is.
        size: Height and width of the images.
    """
    head = getattr(model, 'decode_head', None)
    if isinstance(head, nn.ModuleList):  # a cascade
        head = head[-1]
    last = getattr(head, 'conv_seg', None)
    if getattr(last, 'bias', None) is None:
        return
    scores: list[Tensor] = []
    hook = last.register_forward_hook(lambda *call: scores.append(call[2]))
    noise = torch.randn(1, 3, size[0] // 16, size[1] // 16)
    model.eval()(F.interpolate(noise, size), mode='tensor')
    hook.remove()
    if scores:
        last.bias.sub_(scores[-1].mean((0, 2, 3)))


def is_missing_package(error: Exception) -> bool:
    """Check whether an error says that a package is not installed."""
    return isinstance(error, ImportError) or 'please install' in str(error)


def first_line(error: Exception) -> str:
    """Return the type of an error and the first line that it says."""
    lines = [x.strip() for x in str(error).splitlines() if x.strip()]
    text = lines[0] if lines else ''
    if isinstance(error, UserError):
        return text
    return f'{type(error).__name__}: {text}'[:300]


def summarize(rows: list[dict]) -> str:
    """Write counts by verdict, and the share that exports, as text."""
    counts = Counter(row['verdict'] for row in rows)
    lines = [f'{len(rows)} configs']
    for verdict, meaning in VERDICTS.items():
        lines.append(f'{counts[verdict]:5} {verdict}: {meaning}')
    asked = len(rows) - counts['apart']
    for names in (tuple(AS_RAW), (*AS_RAW, *AS_RAW.values())):
        count = sum(counts[name] for name in names)
        share = 100 * count / max(asked, 1)
        text = ', '.join(names)
        lines.append(f'{share:.1f} % ({count} of {asked}) {text}')
    return '\n'.join(lines)
