"""Kinds of distillation: one class for each output that is imitated."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lvt_dense.deploy.candidates import flatten_maps
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from . import losses
from .networks import FEATURES, LOGITS, MAPS, as_levels, as_logits, part_of
from .teachers import NetworkTeacher, Teacher

Size = Sequence[int]  # height and width of an image
Losses = dict[str, Tensor]  # by name

# Strides that differ by less are the same but for rounding of sizes.
_SAME_STRIDE = 1.25


@dataclass(frozen=True)
class Pair:
    """A student and its teacher, with what they compute on an image.

    Attributes:
        student: The network that learns.
        teacher: The teacher.
        ours: Outputs of the student.
        theirs: Outputs of the teacher.
        size: Height and width of the image.
    """

    student: nn.Module
    teacher: Teacher
    ours: Any
    theirs: Any
    size: Size


class Imitation(nn.Module, ABC):
    """Base of the kinds.

    Args:
        pair: Student and teacher.
        temperature: Of distributions, above 0.

    Raises:
        UserError: The two do not fit.

    Attributes:
        lines: What there is to say of it, for the log.
    """

    what: ClassVar[str]
    weight: ClassVar[float] = 1.0
    temperature: float = 1.0
    needs_classes: ClassVar[bool] = True

    def __init__(self, pair: Pair, temperature: float | None = None) -> None:
        super().__init__()
        if temperature is not None:
            self.temperature = temperature
        self.lines: list[str] = []
        ours, theirs = self.read(pair.ours), self.read(pair.theirs)
        self.fit(replace(pair, ours=ours, theirs=theirs))

    def read(self, outputs: Any) -> Any:
        """Bring the outputs of both sides into one form."""
        return outputs

    @abstractmethod
    def fit(self, pair: Pair) -> None:
        """Fit this to the outputs of both, which have been read."""

    def forward(self, ours: Any, theirs: Any, size: Size) -> Losses:
        """Compute the losses without their weight, by name."""
        return self.compare(self.read(ours), self.read(theirs), size)

    @abstractmethod
    def compare(self, ours: Any, theirs: Any, size: Size) -> Losses:
        """Compute the losses of outputs that have been read."""


class ChannelWise(Imitation):
    """Channel-wise distributions of a segmenter's logits (CWD)."""

    what = LOGITS
    weight = 3.0
    temperature = 4.0

    def read(self, outputs: Any) -> Tensor:
        """Return the logits, (N, C, h, w)."""
        return as_logits(outputs)

    def fit(self, pair: Pair) -> None:
        """Compare the numbers of channels."""
        counts = [logits.shape[1] for logits in (pair.ours, pair.theirs)]
        if counts[0] != counts[1]:
            raise UserError(
                f'distillation: the student has {counts[0]} logits per '
                f'pixel, but {pair.teacher.name} has {counts[1]}'
            )

    def compare(self, ours: Any, theirs: Any, size: Size) -> Losses:
        """Compute the divergence, at the student's resolution."""
        theirs = losses.resize_like(theirs, ours)
        loss = losses.channel_wise_divergence(ours, theirs, self.temperature)
        return dict(cwd=loss)


class _Transient(nn.Conv2d):
    """A trainable 1x1 convolution that is not part of the state dict."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)
        self._register_state_dict_hook(_leave_out)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Load nothing, and miss nothing."""


def _leave_out(
    module: nn.Module, state: dict, prefix: str, metadata: Any
) -> None:
    for name in ('weight', 'bias'):
        state.pop(f'{prefix}{name}', None)


class Features(Imitation):
    """Features of neck or backbone, level by level (PKD).

    Levels of equal stride are compared. Where their channels differ, a 1x1
    convolution maps the student's to the teacher's.
    """

    what = FEATURES
    weight = 6.0
    needs_classes = False
    name = 'pkd'

    def read(self, outputs: Any) -> list[Tensor]:
        """Return the levels."""
        return as_levels(outputs)

    def fit(self, pair: Pair) -> None:
        """Pair the levels, and make the projections."""
        ours, theirs, size = pair.ours, pair.theirs, pair.size
        self.levels = match_levels(ours, theirs, size)
        if not self.levels:
            raise UserError(
                f'distillation: the student has features at the strides '
                f'{_strides(ours, size)}, and {pair.teacher.name} at '
                f'{_strides(theirs, size)}: they have no stride in common'
            )
        self.projections = nn.ModuleList()
        for i, j in self.levels:
            channels = ours[i].shape[1], theirs[j].shape[1]
            same = channels[0] == channels[1]
            self.projections.append(
                nn.Identity() if same else _Transient(*channels)
            )
        strides = _strides([ours[i] for i, _ in self.levels], size)
        self.lines.append(f'features at the strides {strides} are compared')
        count = sum(p.numel() for p in self.parameters())
        if count:
            self.lines.append(
                f'1x1 projections with {count} parameters are trained as '
                "well, separate from the student's weights"
            )

    def compare(self, ours: Any, theirs: Any, size: Size) -> Losses:
        """Compute the sum over the levels."""
        parts = []
        for (i, j), project in zip(self.levels, self.projections):
            mine = project(ours[i])
            parts.append(
                self.distance(mine, losses.resize_like(theirs[j], mine))
            )
        return {self.name: torch.stack(parts).sum()}

    def distance(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Compare two levels of one shape."""
        return losses.pearson_distance(ours, theirs)


class ChannelWiseFeatures(Features):
    """Channel-wise distributions of features (CWD)."""

    weight = 50.0
    temperature = 4.0
    name = 'cwd'

    def distance(self, ours: Tensor, theirs: Tensor) -> Tensor:
        """Compare two levels of one shape."""
        return losses.channel_wise_divergence(ours, theirs, self.temperature)


class DenseHead(Imitation):
    """Scores and boxes of a dense head, such as RTMDet's or SSDLite's.

    Scores are compared by the divergence of their distributions (Hinton et
    al., 2015), softmax or sigmoid as the head has it; decoded boxes by one
    minus their generalized overlap (Rezatofighi et al., "Generalized
    Intersection over Union", CVPR 2019). Means over the anchors are weighted:
    for scores by the probability that student or teacher sees an object, for
    boxes by the teacher's. The weights are a choice of this project.
    """

    what = MAPS
    temperature = 2.0

    def fit(self, pair: Pair) -> None:
        """Compare the heads."""
        self.head = _Shared(part_of(pair.student, MAPS))
        self.levels = len(_list_of(pair.ours, 0))
        self._check_form(pair)
        self.decoders = self._decoders(pair)

    def _check_form(self, pair: Pair) -> None:
        teacher = pair.teacher
        shapes = [
            [tuple(x.shape[1:]) for x in [*flatten_maps(maps)][: self.levels]]
            for maps in (pair.ours, pair.theirs)
        ]
        softmax = [_is_softmax(self.head.module)]
        if isinstance(teacher, NetworkTeacher):
            softmax.append(_is_softmax(part_of(teacher.network, MAPS)))
        if shapes[0] != shapes[1] or len({*softmax}) > 1:
            raise UserError(
                f'distillation: the heads of the student and of '
                f'{teacher.name} have different scores, of shape '
                f'{shorten(shapes[0], 3)} and {shorten(shapes[1], 3)}, or '
                'one uses softmax and the other sigmoid; use --distill pkd, '
                'which compares the features of the necks'
            )

    def _decoders(self, pair: Pair) -> list['_Shared']:
        """Return the heads that decode the boxes; none if they cannot."""
        teacher = pair.teacher
        if not isinstance(teacher, NetworkTeacher):
            self.lines.append(
                'boxes are not compared: an exported file does not say how '
                'they are encoded'
            )
            return []
        heads = [self.head.module, part_of(teacher.network, MAPS)]
        maps = (pair.ours, pair.theirs)
        if not all(has_plain_boxes(h, m) for h, m in zip(heads, maps)):
            self.lines.append(
                'boxes are not compared: they are not four numbers per anchor'
            )
            return []
        levels = _list_of(pair.ours, 0)
        priors = [priors_of(head, levels, pair.size) for head in heads]
        if not torch.equal(*priors):
            raise UserError(
                f'distillation: the anchors of the student and of '
                f'{teacher.name} differ; use --distill pkd, which compares '
                'the features of the necks'
            )
        return [_Shared(head) for head in heads]

    def compare(self, ours: Any, theirs: Any, size: Size) -> Losses:
        """Compute the divergence of scores, and the distance of boxes."""
        head = self.head.module
        flat = [[*flatten_maps(maps)] for maps in (ours, theirs)]
        sizes = [[x.shape for x in maps[: self.levels]] for maps in flat]
        if sizes[0] != sizes[1]:
            raise UserError(
                'distillation: the maps of student and teacher differ in '
                f'size on images of {size[0]} x {size[1]}: export the teacher '
                'for the size of the training images'
            )
        scores = [
            flatten_levels(maps[: self.levels], head.cls_out_channels)
            for maps in flat
        ]
        is_softmax = _is_softmax(head)
        measure = losses.softmax_divergence if is_softmax else _sum_of_sigmoids
        divergence = measure(scores[0], scores[1], self.temperature)
        seen = [foreground(x, is_softmax) for x in scores]
        found = dict(
            scores=losses.weighted_mean(divergence, losses.union(*seen))
        )
        if self.decoders:
            boxes = [
                decode(h.module, maps[self.levels : 2 * self.levels], size)
                for h, maps in zip(self.decoders, flat)
            ]
            found['boxes'] = losses.weighted_mean(
                1 - _aligned_overlaps(*boxes), seen[1]
            )
        return found


class Heatmaps(Imitation):
    """Heatmaps of a MonoCon head: of objects, and of their keypoints.

    The divergence of the probabilities in each cell (Hinton et al., 2015), as
    a mean weighted by the probability that student or teacher sees something
    there. The weights are a choice of this project.
    """

    what = MAPS
    names = ('heatmap', 'keypoint_heatmap')

    def fit(self, pair: Pair) -> None:
        """Find the heatmaps of both."""
        found = [self._heatmaps(maps) for maps in (pair.ours, pair.theirs)]
        self.shared = [
            n for n in self.names if n in found[0] and n in found[1]
        ]
        for name in self.shared:
            channels = [maps[name].shape[1] for maps in found]
            if channels[0] != channels[1]:
                raise UserError(
                    f'distillation: {name} has {channels[0]} channels, but '
                    f'that of {pair.teacher.name} has {channels[1]}'
                )
        if not self.shared:
            raise UserError(
                f'distillation: the student or {pair.teacher.name} has no '
                'heatmap, unlike MonoCon; use --distill pkd, which compares '
                'the features of the necks'
            )
        if len(self.shared) < len(self.names):
            self.lines.append(f'only the {self.shared[0]} is compared')

    def _heatmaps(self, maps: Any) -> Mapping[str, Tensor]:
        if isinstance(maps, Mapping):
            return {n: maps[n] for n in self.names if n in maps}
        if isinstance(maps, (list, tuple)) and isinstance(maps[0], Tensor):
            return dict(heatmap=maps[0])  # the first map of an exported file
        return {}

    def compare(self, ours: Any, theirs: Any, size: Size) -> Losses:
        """Compute the divergence of each heatmap."""
        ours, theirs = self._heatmaps(ours), self._heatmaps(theirs)
        found = {}
        for name in self.shared:
            mine = ours[name].float()
            wanted = losses.resize_like(theirs[name].float(), mine)
            divergence = losses.sigmoid_divergence(
                losses.logit(mine), losses.logit(wanted), self.temperature
            )
            weights = losses.union(mine, wanted)
            found[name] = losses.weighted_mean(divergence, weights)
        return found


KINDS: dict[str, type[Imitation]] = {
    'cwd': ChannelWise,
    'cwd_features': ChannelWiseFeatures,
    'pkd': Features,
    'logits': DenseHead,
    'heatmap': Heatmaps,
}


class _Shared:
    """Reference to a module without registering it as a submodule."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __deepcopy__(self, memo: dict) -> '_Shared':
        return self


def _is_softmax(head: Any) -> bool:
    return not getattr(head, 'use_sigmoid_cls', True)


def match_levels(
    ours: Sequence[Tensor], theirs: Sequence[Tensor], size: Size
) -> list[tuple[int, int]]:
    """Pair levels of equal stride.

    Args:
        ours: Levels of the student, (N, C, h, w).
        theirs: Levels of the teacher on the same image.
        size: Height and width of the image.

    Returns:
        Indices of levels, each used at most once, the student's ascending.
    """
    pairs: list[tuple[int, int]] = []
    for i, mine in enumerate(ours):
        for j, other in enumerate(theirs):
            ratio = max(mine.shape[-1], other.shape[-1]) / min(
                mine.shape[-1], other.shape[-1]
            )
            if ratio < _SAME_STRIDE and all(j != used for _, used in pairs):
                pairs.append((i, j))
                break
    return pairs


def has_plain_boxes(head: Any, maps: Any) -> bool:
    """Check that a head regresses four numbers an anchor, always alike."""
    from mmdet.models.dense_heads import AnchorHead

    if not isinstance(head, AnchorHead):
        return False  # FCOS, for one, scales them in evaluation alone
    counts = head.prior_generator.num_base_priors
    return all(
        level.shape[1] == 4 * count
        for level, count in zip(_list_of(maps, 1), counts)
    )


def priors_of(head: Any, levels: Sequence[Tensor], size: Size) -> Tensor:
    """List the anchors or points of all levels, (P, 4) or (P, 2)."""
    generator = head.prior_generator
    if hasattr(generator, 'input_shape'):
        generator.input_shape = tuple(map(int, size))
    sizes = [tuple(level.shape[-2:]) for level in levels]
    return torch.cat(generator.grid_priors(sizes, device=levels[0].device))


def decode(head: Any, maps: Sequence[Tensor], size: Size) -> Tensor:
    """Decode boxes, (N, P, 4) as xyxy in pixels."""
    priors = priors_of(head, maps, size)
    deltas = flatten_levels(maps, 4).float()
    count = len(deltas)
    priors = priors.expand(count, *priors.shape).flatten(0, 1)
    boxes = head.bbox_coder.decode(priors, deltas.flatten(0, 1))
    return boxes.view(count, -1, 4)


def flatten_levels(maps: Sequence[Tensor], channels: int) -> Tensor:
    """Bring maps (N, A * C, h, w) into one tensor (N, P, C)."""
    parts = [m.permute(0, 2, 3, 1).reshape(len(m), -1, channels) for m in maps]
    return torch.cat(parts, 1)


def foreground(scores: Tensor, is_softmax: bool) -> Tensor:
    """Return the probability of an object at each anchor, (N, P)."""
    scores = scores.detach().float()
    if is_softmax:
        return 1 - scores.softmax(-1)[..., -1]  # the last is the background
    return scores.sigmoid().amax(-1)


def _sum_of_sigmoids(ours: Tensor, theirs: Tensor, degree: float) -> Tensor:
    return losses.sigmoid_divergence(ours, theirs, degree).sum(-1)


def _aligned_overlaps(ours: Tensor, theirs: Tensor) -> Tensor:
    from mmdet.structures.bbox import bbox_overlaps

    overlaps: Callable[..., Tensor] = bbox_overlaps
    pair = [_upright(boxes) for boxes in (ours, theirs)]
    return overlaps(*pair, mode='giou', is_aligned=True)


def _upright(boxes: Tensor) -> Tensor:
    """Give boxes of negative sides, as of fresh heads, sides of 0.

    The generalized overlap of others would have no bounds.
    """
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([low, torch.maximum(low, high)], -1)


def _list_of(maps: Any, index: int) -> list[Tensor]:
    """Return the levels of one of a head's outputs."""
    if not isinstance(maps, (tuple, list)) or len(maps) <= index:
        raise UserError(
            'distillation: the head returns no levels of scores and boxes; '
            'use --distill pkd, which compares the features of the necks'
        )
    return list(flatten_maps(maps[index]))


def _strides(levels: Sequence[Tensor], size: Size) -> str:
    return shorten([round(size[1] / x.shape[-1]) for x in levels], 8)
