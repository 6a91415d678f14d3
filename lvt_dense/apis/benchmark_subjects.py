"""What a benchmark measures: a model of any kind behind one call."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import suggest

MODES = (
    'eager',
    'folded',
    'channels_last',
    'compile',
    'cudagraph',
    'fp16',
    'bf16',
    'onnxruntime',
    'openvino',
    'openvino_bf16',
)
_HALF = dict(fp16=torch.float16, bf16=torch.bfloat16)  # autocast


class Subject(NamedTuple):
    """Something that can be called."""

    name: str
    mode: str
    run: Callable[[], object]


def make_subjects(
    name: str, modes: Sequence[str], image: Tensor, threads: int
) -> Iterator[Subject]:
    """Build what a name stands for, once for each mode.

    Args:
        name: A backbone, ``timm:NAME``, a config, or an exported file.
        modes: See :data:`MODES`; exported files have one of their own.
        image: Input of the networks, (N, 3, H, W).
        threads: Threads of the runtimes.

    Raises:
        UserError: There is nothing of this name, or a package is missing.
    """
    if Path(name).suffix in ('.onnx', '.xml'):
        yield _exported_subject(name, image, threads)
        return
    model = build_model(name).eval().to(image.device)
    for mode in modes:
        call = _call_of(model, mode, image, threads)
        yield Subject(Path(name).stem, mode, call)


def build_model(name: str) -> nn.Module:
    """Build a backbone, of ours or of timm, or the model of a config.

    Raises:
        UserError: There is nothing of this name, or timm cannot be imported.
    """
    from lvt_dense.models.backbones import build_backbone, list_backbones
    from lvt_dense.models.backbones.timm_networks import PREFIX

    if name in list_backbones() or name.startswith(PREFIX):
        return build_backbone(name)
    if name.endswith('.py') or '::' in name or Path(name).is_dir():
        return _config_model(name)
    near = suggest(name, list_backbones())
    hint = f'; {near}' if near else ''
    raise UserError(
        f'{name} is no backbone, no config (.py) and no exported file '
        f'(.onnx, .xml); networks of timm are timm:NAME{hint}'
    )


class _Tensors(nn.Module):
    """A detector or segmenter up to its heads' maps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        return self.model(x, mode='tensor')


def _config_model(name: str) -> nn.Module:
    from mmengine.registry import MODELS, init_default_scope

    from lvt_dense.compat.stack import import_stack
    from lvt_dense.config import load_config

    import_stack()
    cfg = load_config(name)
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    return _Tensors(MODELS.build(cfg.model))


def _call_of(
    model: nn.Module, mode: str, image: Tensor, threads: int
) -> Callable[[], object]:
    if mode.startswith(('onnx', 'openvino')):
        return _runtime_call(model, mode, image, threads)
    if mode == 'folded':
        model = _fold(model, image[:1])
    elif mode == 'channels_last':
        image = image.to(memory_format=torch.channels_last)
    elif mode == 'compile':
        # Weights as constants: batch norms are folded, layouts are chosen.
        model = torch.compile(model, options={'freezing': True})
    elif mode == 'cudagraph':
        return _graph_call(model, image)
    kind = image.device.type

    def call() -> object:
        with (
            torch.inference_mode(),
            torch.autocast(kind, _HALF.get(mode), enabled=mode in _HALF),
        ):
            return model(image)

    return call


def _graph_call(model: nn.Module, image: Tensor) -> Callable[[], object]:
    """Record the kernels of a call, to launch them at once.

    A network this small waits for its launches otherwise. Batch norms are
    folded beforehand.
    """
    if image.device.type != 'cuda':
        raise UserError('--modes cudagraph: needs --device cuda')
    model = _fold(model, image)
    graph, side = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    # As PyTorch asks for: a few calls on another stream before recording.
    with torch.inference_mode(), torch.cuda.stream(side):
        for _ in range(3):
            model(image)
    torch.cuda.current_stream().wait_stream(side)
    with torch.inference_mode(), torch.cuda.graph(graph):
        levels = model(image)

    def call() -> object:
        graph.replay()
        return levels

    return call


def _fold(model: nn.Module, image: Tensor) -> nn.Module:
    """Return a copy with batch norms folded, and make sure that it is one.

    Raises:
        UserError: The folded model computes something else.
    """
    from copy import deepcopy

    from mmengine.model.utils import revert_sync_batchnorm

    from lvt_dense.models.layers import fold_batch_norms, tensors_in

    folded = revert_sync_batchnorm(deepcopy(model)).eval()
    folded = fold_batch_norms(folded, image)
    with torch.inference_mode():
        pairs = zip(tensors_in(folded(image)), tensors_in(model(image)))
        for found, expected in pairs:
            if not torch.allclose(found, expected, 1e-2, 1e-2):
                gap = float((found - expected).abs().max())
                raise UserError(
                    f'--modes folded: folding the batch norms of a '
                    f'{type(model).__name__} changes its output by {gap:.2g}, '
                    'so it is not measured; leave this mode out'
                )
    return folded


def _runtime_call(
    model: nn.Module, mode: str, image: Tensor, threads: int
) -> Callable[[], object]:
    """Export the network and run it in another runtime."""
    if image.device.type != 'cpu':
        raise UserError(f'--modes {mode}: only on a CPU')
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'model.onnx')
        if mode.startswith('openvino'):
            from lvt_dense.deploy.openvino_graph import adapt_to_openvino

            precision = 'bf16' if mode.endswith('bf16') else 'fp32'
            model = adapt_to_openvino(model, precision)
        export_network(model, image, path)
        return load_network(path, mode, image, threads)


def export_network(model: nn.Module, image: Tensor, path: Path) -> None:
    """Write a network as it is, for images of one size, in ONNX.

    Args:
        model: Network in eval mode.
        image: Input, (N, 3, H, W).
        path: ``.onnx`` file to write.

    Raises:
        UserError: A package is missing.
    """
    from lvt_dense.apis.export import check_packages
    from lvt_dense.deploy.quiet import silence

    check_packages('onnx', 'onnxscript')
    with silence():
        program = torch.onnx.export(
            model,
            (image,),
            dynamo=True,
            opset_version=18,
            input_names=['image'],
            verbose=False,
        )
    program.save(str(path))


def load_network(
    path: Path, mode: str, image: Tensor, threads: int
) -> Callable[[], object]:
    """Load what :func:`export_network` wrote into a runtime.

    Args:
        path: ``.onnx`` file.
        mode: Of :data:`MODES`, a runtime.
        image: Input of the network, (N, 3, H, W).
        threads: Threads of the runtime.

    Returns:
        What runs the network on the image.

    Raises:
        UserError: The runtime is missing.
    """
    from lvt_dense.apis.export import check_packages

    is_onnx = mode == 'onnxruntime'
    check_packages('onnxruntime' if is_onnx else 'openvino')
    feed = {'image': image.numpy()}
    if is_onnx:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, ['CPUExecutionProvider']
        )
        return lambda: session.run(None, feed)
    import openvino

    core = openvino.Core()
    precision = 'bf16' if mode.endswith('bf16') else 'f32'
    compiled = core.compile_model(
        core.read_model(path),
        'CPU',
        {
            'INFERENCE_NUM_THREADS': threads,
            'INFERENCE_PRECISION_HINT': precision,
        },
    )
    return lambda: compiled(feed)


def _exported_subject(path: str, image: Tensor, threads: int) -> Subject:
    from lvt_dense.deploy.exported_model import make_feed
    from lvt_dense.runtime import Predictor

    try:
        model = Predictor(path, threads)
    except ValueError as error:
        raise UserError(str(error)) from error
    pixels = (255 * image.cpu()).permute(0, 2, 3, 1).byte().numpy()
    size = model.info['size']
    if size and list(pixels.shape[1:3]) != size:
        raise UserError(
            f'{path} takes images of {size[0]}x{size[1]}: give --size '
            f'{size[0]}x{size[1]}'
        )
    feed = make_feed(model, pixels)
    kind = 'openvino' if path.endswith('.xml') else 'onnxruntime'
    return Subject(Path(path).name, kind, lambda: model.run(feed))
