"""Graphs as NCNN models, converted by pnnx.

A model is a folder of three files: ``model.ncnn.param``, ``model.ncnn.bin``,
and ``metadata.json``. NCNN has neither loops nor sorting, so of detectors
there are the maps alone; and no argmax, so segmenters end in the scores of
the pixels, which :mod:`lvt_dense.runtime.sessions` turns into labels.
"""

import copy
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.deploy.formats import Call
from lvt_dense.deploy.inputs import ImageInput
from lvt_dense.deploy.low_rank import LowRank
from lvt_dense.deploy.onnx_program import reason_of
from lvt_dense.deploy.quiet import silence
from lvt_dense.deploy.segmenters import Segmenter
from lvt_dense.models.backbones import plg_vit
from lvt_dense.runtime.errors import InputError
from lvt_dense.runtime.sessions import NCNN_FILES, open_session
from lvt_dense.utils.errors import UserError

_PARAM, _WEIGHTS, _INFO = NCNN_FILES


class _PlanarInput(nn.Module):
    """Normalize an image of planes of float32, without its size.

    What lies beside the image is filled with the mean, and becomes zero.
    """

    def __init__(self, image_input: ImageInput) -> None:
        super().__init__()
        self.flip = image_input.flip
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer('mean', image_input.mean)
        self.register_buffer('std', image_input.std)

    def forward(self, image: Tensor, size: Tensor | None = None) -> Tensor:
        """Map (1, C, H, W), 0 to 255, to the input of the backbone."""
        if self.flip:
            image = torch.cat(image.chunk(3, 1)[::-1], 1)
        return (image - self.mean) / self.std


class _Planar(nn.Module):
    """A graph of planes, up to what NCNN has layers for."""

    def __init__(self, graph: Any) -> None:
        super().__init__()
        self.network: Any = copy.deepcopy(graph)
        self.network.input = _PlanarInput(graph.input)
        self.is_whole = not graph.raw

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map (1, C, H, W) float32 to maps, or to scores of the pixels."""
        if self.is_whole:
            return (self.network.score_pixels(image),)
        others = [None] * (len(self.network.inputs) - 1)
        return self.network(image, *others)


def convert(
    graph: Any,
    example: tuple[Tensor, ...],
    info: dict[str, Any],
    folder: Path,
    precision: str = 'fp32',
) -> Call:
    """Convert a graph to a model of one image of one size.

    Args:
        graph: The graph.
        example: Its inputs.
        info: Metadata, which the model takes along.
        folder: Where its files are written.
        precision: ``'fp32'`` or ``'fp16'``: what the weights are kept in.

    Returns:
        What runs the model.

    Raises:
        UserError: The graph does not convert.
    """
    check_graph(graph)
    info.update(_describe(graph, precision))
    planes = example[0].permute(0, 3, 1, 2).float().contiguous()
    with torch.no_grad(), silence(), _pool_adaptively():
        try:
            network = LowRank(_Planar(graph).eval(), (planes,))
            shapes = [list(x.shape) for x in network(planes)]
            program = torch.jit.trace(network, planes, check_trace=False)
        except UserError:
            raise
        except Exception as error:  # each pass has its own
            raise UserError(_refusal(reason_of(error))) from error
    names = graph.outputs if graph.raw else ('scores',)
    info['outputs'] = dict(zip(names, shapes, strict=True))
    _run_pnnx(program, planes.shape, folder, precision)
    _check_layers(folder / _PARAM)
    (folder / _INFO).write_text(json.dumps(info), encoding='utf-8')
    try:
        # On a busy machine, NCNN's threads wait for each other for minutes.
        session = open_session(folder, threads=1)
    except InputError as error:
        raise UserError(_refusal(str(error))) from error
    return lambda feed: session.run(dict(feed))


@contextmanager
def _pool_adaptively() -> Iterator[None]:
    """Pool PLG-ViT's maps by adaptive pooling, for which NCNN has a layer."""

    def pool(x: Tensor, side: int, mode: str) -> Tensor:
        if mode == 'max':
            return F.adaptive_max_pool2d(x, side)
        return F.adaptive_avg_pool2d(x, side)

    usual = plg_vit.pool_regions
    plg_vit.pool_regions = pool
    try:
        yield
    finally:
        plg_vit.pool_regions = usual


def check_graph(graph: Any) -> None:
    """Check that a graph has no decoding and suppression.

    Raises:
        UserError: It has.
    """
    if not graph.raw and not isinstance(graph, Segmenter):
        raise UserError(
            'NCNN has no layers for decoding and suppression, so a detector '
            'is not exported whole; --raw exports the network up to the maps'
        )


def _describe(graph: Any, precision: str) -> dict[str, Any]:
    """Return what the session has to know beyond the usual metadata."""
    mean = graph.input.mean.flatten().tolist()
    found = dict(
        batch=1,
        precision=precision,
        inputs=list(graph.inputs),
        padding=mean[::-1] if graph.input.flip else mean,
    )
    if not graph.raw and graph.last.out_channels == 1:
        found['threshold'] = float(graph.last.threshold)
    return found


def _run_pnnx(
    program: Any, shape: torch.Size, folder: Path, precision: str
) -> None:
    import pnnx

    with tempfile.TemporaryDirectory() as work:
        path = Path(work, 'model.pt')
        program.save(str(path))
        command = [
            pnnx.EXEC_PATH,
            path.name,
            f'inputshape=[{",".join(map(str, shape))}]',
            f'fp16={int(precision == "fp16")}',
        ]
        done = subprocess.run(command, cwd=work, capture_output=True)
        text = (done.stdout + done.stderr).decode(errors='replace')
        for name in (_PARAM, _WEIGHTS):
            made = Path(work, name)
            if done.returncode or not made.is_file():
                last = text.strip().splitlines()[-1:] or ['pnnx wrote nothing']
                raise UserError(_refusal(last[0]))
            shutil.move(made, folder / name)


def _check_layers(path: Path) -> None:
    """Check that NCNN knows the layers of a model."""
    import ncnn

    lines = path.read_text(encoding='utf-8').splitlines()[2:]
    kinds = {line.split()[0] for line in lines if line.strip()}
    unknown = sorted(kind for kind in kinds if ncnn.layer_to_index(kind) < 0)
    if unknown:
        raise UserError(_refusal(f'it has no layer for {", ".join(unknown)}'))


def _refusal(reason: str) -> str:
    return f'the model does not convert to NCNN: {reason}'


def write(folder: Path, out: Path) -> None:
    """Move the files of a model to where it belongs, all or none.

    Raises:
        UserError: Something else is in the way.
    """
    if out.exists() and not (out / _INFO).is_file():
        raise UserError(
            f'{out} is in the way and is not an NCNN model: choose another '
            '--out'
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as beside:
        made = Path(beside, out.name)
        shutil.copytree(folder, made)
        if out.exists():
            out.rename(Path(beside, 'old'))
        made.rename(out)
