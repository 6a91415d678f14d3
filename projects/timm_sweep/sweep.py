"""Try every pyramid of timm under the contract, and in three models."""

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import Config
from swap_sweep.trial import Trial

from lvt_dense import swap_backbone
from lvt_dense.config import load_config
from lvt_dense.models.backbones import Timm
from lvt_dense.models.backbones.timm_networks import (
    Network,
    create,
    find_network,
)
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import describe_error

CONFIGS = {
    'RetinaNet': 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
    'DeepLabv3': 'mmseg::deeplabv3/'
    'deeplabv3_r50-d8_4xb4-80k_ade20k-512x512.py',
    'SSDLite': 'mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py',
}
SIZES = ((480, 640), (500, 333))
EXPORT_SIZE = (96, 128)
EXPORT_GAP = 1e-3  # in deviations of a level


def light_names(limit: float) -> list[str]:
    """Name the networks of timm by size, one of each module at a time.

    Any beginning of the list is a sample of all modules.

    Args:
        limit: Most parameters, of the classifier.
    """
    import timm

    by_module = []
    for module in timm.list_modules():
        names = timm.list_models(module=module, exclude_filters='test_*')
        sizes = {name: count_parameters(name) for name in names}
        by_module.append(
            sorted(
                (n for n in names if sizes[n] <= limit),
                key=lambda n: sizes[n],
            )
        )
    rounds = itertools.zip_longest(*by_module)
    return [name for each in rounds for name in each if name is not None]


def count_parameters(name: str) -> int:
    """Count the parameters of a classifier of timm."""
    try:
        with torch.device('meta'):
            return sum(p.numel() for p in create(name).parameters())
    except UserError:
        return 1 << 60


def examine(name: str, is_trained: bool, is_exported: bool) -> dict:
    """Try a network in every way.

    Args:
        name: Network of timm.
        is_trained: Whether it is swapped into models, and these are tried.
        is_exported: Whether it is exported to ONNX and compared.

    Returns:
        A row: what it is, and by trial ``'works'`` or the reason.
    """
    row: dict = dict(name=name, trials={})
    start = time.perf_counter()
    try:
        network = find_network(name, {}, 32)
    except UserError as error:
        row.update(kind='refused', reason=str(error))
        return row
    row.update(
        kind='pyramid' if network.is_pyramid else 'one stride',
        strides=list(network.strides.values()),
        unit=network.unit,
        args=network.args,
    )
    for title, trial in trials_of(network, is_trained, is_exported):
        try:
            row['trials'][title] = trial() or 'works'
        except Exception as error:  # the result of this sweep
            row['trials'][title] = describe_error(error, 200)
    row['seconds'] = round(time.perf_counter() - start, 1)
    return row


def trials_of(
    network: Network, is_trained: bool, is_exported: bool
) -> Iterator:
    """List what is tried, by title."""
    for size in SIZES:
        yield f'{size[0]}x{size[1]}', lambda size=size: run(network, size)
    for title, config in CONFIGS.items() if is_trained else ():
        yield title, lambda config=config: train(config, network.name)
    if is_exported:
        yield 'ONNX', lambda: export(network)


def run(network: Network, size: tuple[int, int]) -> None:
    """Run a backbone without numbers, and check the sizes of its levels.

    Raises:
        ValueError: A level has another size, or a parameter has no use.
    """
    with torch.device('meta'):
        backbone = Timm(network.name).eval()
        levels = backbone(torch.zeros(1, 3, *size))
    if len(levels) != len(backbone.out_strides):
        raise ValueError(f'{len(levels)} levels')
    for level, channels, stride in zip(
        levels, backbone.out_channels, backbone.out_strides
    ):
        expected = (1, channels, -(-size[0] // stride), -(-size[1] // stride))
        if level.shape != expected:
            raise ValueError(f'{tuple(level.shape)} is not {expected}')
    if size != SIZES[0]:
        return
    sum(level.sum() for level in levels).backward()
    unused = [n for n, p in backbone.named_parameters() if p.grad is None]
    if unused:
        raise ValueError(f'{len(unused)} unused parameters: {unused[0]}, ...')


def train(config: str, name: str) -> None:
    """Swap a backbone in, take a step of training, and predict.

    Raises:
        FloatingPointError: The loss is not finite.
    """
    trial = Trial(swap_backbone(quiet(config), f'timm:{name}'))
    trial.init()
    trial.model.train()
    optimizer = torch.optim.SGD(trial.model.parameters(), 1e-4)
    data = trial._load(2, training=True)
    losses = trial.model(**data, mode='loss')
    total, values = trial.model.parse_losses(losses)
    total.backward()
    if not bool(torch.isfinite(total)):
        raise FloatingPointError(f'the losses are {values}')
    optimizer.step()
    trial.predict()


def quiet(config: str) -> Config:
    """Load a config without the weights of its own backbone."""
    return load_config(config, import_custom_modules=False)


def export(network: Network) -> str:
    """Export a backbone to ONNX, and compare it in ONNX Runtime.

    Returns:
        'works' with the largest difference.

    Raises:
        ValueError: The outputs differ.
    """
    import tempfile

    import onnxruntime

    from lvt_dense.apis.benchmark_subjects import export_network

    torch.manual_seed(0)
    backbone = Timm(network.name).eval()
    image = torch.randn(1, 3, *EXPORT_SIZE)
    with torch.inference_mode():
        expected = backbone(image)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'model.onnx')
        export_network(backbone, image, path)
        session = onnxruntime.InferenceSession(
            path.read_bytes(), providers=['CPUExecutionProvider']
        )
    found = session.run(None, {'image': image.numpy()})
    gap = max(
        float((torch.from_numpy(f) - e).abs().max() / e.std())
        for f, e in zip(found, expected)
    )
    if gap > EXPORT_GAP:
        raise ValueError(f'outputs differ by {gap:.2g} deviations')
    return 'works'


def read_rows(log: Path) -> dict[str, dict]:
    """Read the rows of earlier sweeps, by name."""
    if not log.exists():
        return {}
    rows = map(json.loads, log.read_text().splitlines())
    return {row['name']: row for row in rows}


def format_table(rows: list[dict]) -> str:
    """Write the rows as Markdown, after what they sum up to."""
    titles = list(dict.fromkeys(t for r in rows for t in r['trials']))
    lines = [
        *summarize(rows),
        '',
        f'| network | strides | padded to | {" | ".join(titles)} |',
        '| --- | --- | --- |' + ' --- |' * len(titles),
    ]
    for row in rows:
        if row['kind'] == 'refused':
            continue
        cells = [row['trials'].get(title, '-') for title in titles]
        strides = ', '.join(map(str, dict.fromkeys(row['strides'])))
        lines.append(
            f'| {row["name"]} | {strides} | {row["unit"]} '
            f'| {" | ".join(cells)} |'
        )
    lines += ['', '| refused | reason |', '| --- | --- |']
    lines += [
        f'| {row["name"]} | {row["reason"].replace("|", "/")} |'
        for row in rows
        if row['kind'] == 'refused'
    ]
    return '\n'.join(lines) + '\n'


def summarize(rows: list[dict]) -> list[str]:
    """Count what works, by kind of network and trial; a table in Markdown."""
    titles = list(dict.fromkeys(t for r in rows for t in r['trials']))
    lines = [
        f'| networks | number | {" | ".join(titles)} |',
        '| --- | --- |' + ' --- |' * len(titles),
    ]
    for kind in ('pyramid', 'one stride'):
        some = [r['trials'] for r in rows if r['kind'] == kind]
        cells = []
        for title in titles:
            tried = [t[title] for t in some if title in t]
            works = sum(result == 'works' for result in tried)
            cells.append(f'{works} of {len(tried)}')
        lines.append(f'| {kind} | {len(some)} | {" | ".join(cells)} |')
    refused = sum(r['kind'] == 'refused' for r in rows)
    lines.append(f'| refused | {refused} |' + ' |' * len(titles))
    return lines
