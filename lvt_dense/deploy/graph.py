"""Choose the exported graph of a model."""

from mmengine.config import Config
from torch import nn

from lvt_dense.deploy.inputs import ImageInput, channels_of, preprocessor_of
from lvt_dense.utils.errors import UserError


def build_graph(
    model: nn.Module,
    cfg: Config,
    color: str = 'rgb',
    raw: bool = False,
    padded: bool = False,
) -> nn.Module:
    """Wrap a model into a module whose forward is the exported graph.

    Args:
        model: Detector or segmenter in eval mode.
        cfg: Its config.
        color: Channel order of the graph's input: ``'rgb'`` or ``'bgr'``.
        raw: Stop at the heads' maps.
        padded: Whether images may be smaller than the input.

    Raises:
        UserError: The model is of a kind that has no exported graph.
    """
    image_input = ImageInput(
        preprocessor_of(cfg), color, padded, channels_of(cfg)
    )
    for build in (_mono3d, _detector, _segmenter):
        graph = build(model, image_input, raw)
        if graph is not None:
            return graph.eval()
    raise UserError(
        f'a {type(model).__name__} cannot be exported: there are graphs for '
        'single-stage detectors, Faster and Mask R-CNN, encoder-decoder '
        'segmenters and monocular 3D detectors'
    )


def _mono3d(
    model: nn.Module, image_input: ImageInput, raw: bool
) -> nn.Module | None:
    from lvt_dense.models.mono3d import Mono3DDetector

    from .mono3d import Mono3D

    if not isinstance(model, Mono3DDetector):
        return None
    return Mono3D(model, image_input, raw)


def _detector(
    model: nn.Module, image_input: ImageInput, raw: bool
) -> nn.Module | None:
    from mmdet.models.detectors import SingleStageDetector, TwoStageDetector

    from lvt_dense.deploy.detectors import OneStage, TwoStage

    if isinstance(model, SingleStageDetector):
        return OneStage(model, image_input, raw)
    if isinstance(model, TwoStageDetector):
        return TwoStage(model, image_input, raw)
    return None


def _segmenter(
    model: nn.Module, image_input: ImageInput, raw: bool
) -> nn.Module | None:
    from mmseg.models.segmentors import EncoderDecoder

    from lvt_dense.deploy.segmenters import Segmenter

    if isinstance(model, EncoderDecoder):
        return Segmenter(model, image_input, raw)
    return None
