"""A model beside its teacher: losses, gradients, state, copies."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from helpers.distillation import (
    MONOCON,
    RETINANET,
    RTMDET,
    SEGMENTER,
    SSDLITE,
    build,
    detection_batch,
    segmentation_batch,
    teacher_of,
)
from mmengine.model import ExponentialMovingAverage

from lvt_dense.engine.distillation import losses
from lvt_dense.engine.distillation.distiller import attach, default_kind
from lvt_dense.engine.distillation.normalization import (
    ImageNorm,
    renormalize,
)
from lvt_dense.utils.errors import UserError


def larger_segmenter(**options: Any) -> Any:
    return build(
        SEGMENTER,
        seed=1,
        model__backbone__arch='xs',
        model__decode_head__in_channels=96,
        **options,
    )


def distilled(losses_: dict) -> dict[str, torch.Tensor]:
    return {k: v for k, v in losses_.items() if k.startswith('distill.')}


def test_loss_is_the_formula_on_renormalized_images() -> None:
    student, teacher = build(SEGMENTER), larger_segmenter()
    teacher.data_preprocessor.mean += 50  # as another family has it
    teacher.data_preprocessor._channel_conversion = True
    attach(student, teacher_of(teacher), dict(weight=2.0, temperature=3.0))
    student.eval()  # no dropout, and the same logits twice
    images, samples = segmentation_batch()
    with torch.no_grad():
        found = distilled(student(images, samples, mode='loss'))
        norms = [ImageNorm.of(m.data_preprocessor) for m in (student, teacher)]
        logits = [
            model.decode_head(model.extract_feat(x))
            for model, x in (
                (student, images),
                (teacher, renormalize(images, *norms)),
            )
        ]
    expected = 2 * losses.channel_wise_divergence(*logits, 3.0)
    (value,) = found.values()
    assert list(found) == ['distill.loss_cwd']
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    assert value.item() > 0.01


def test_only_the_student_learns() -> None:
    student, teacher = build(SEGMENTER), larger_segmenter()
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    attach(student, teacher_of(teacher), {})
    student.train()
    losses_ = student(*segmentation_batch(), mode='loss')
    sum(distilled(losses_).values()).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert not teacher.training
    after = teacher.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    # The divergence is of the logits: what is before them learns from it.
    weight = student.decode_head.conv_seg.weight
    assert weight.grad is not None and weight.grad.abs().sum() > 0
    assert student.backbone.out_channels
    (first, *_) = student.backbone.parameters()
    assert first.grad is not None and first.grad.abs().sum() > 0


def test_state_copies_and_averages_leave_the_teacher_out() -> None:
    plain, student = build(SSDLITE), build(SSDLITE)
    teacher = build(SSDLITE, seed=1)
    attach(student, teacher_of(teacher), dict(kind='pkd'))
    assert student.state_dict().keys() == plain.state_dict().keys()
    count = sum(p.numel() for p in plain.parameters())
    assert sum(p.numel() for p in student.parameters()) == count
    copy = deepcopy(student)
    assert copy.distillation.teacher is student.distillation.teacher
    average = ExponentialMovingAverage(student)
    average.update_parameters(student)
    keys = {k.removeprefix('module.') for k in average.state_dict()}
    assert keys - {'steps'} == plain.state_dict().keys()
    plain.load_state_dict(student.state_dict())


def test_projections_train_and_are_not_saved() -> None:
    student, teacher = build(RTMDET), build(RETINANET, seed=1)
    plain = set(student.state_dict())
    _, lines = attach(student, teacher_of(teacher), {})
    assert any('at the strides 8, 16, 32 ' in line for line in lines)
    projections = student.distillation.imitation.projections
    assert len(projections) == 3
    assert set(student.state_dict()) == plain
    student.load_state_dict(student.state_dict(), strict=True)
    student.train()
    found = distilled(student(*detection_batch(), mode='loss'))
    (loss,) = found.values()
    loss.backward()
    for project in projections:
        assert project.weight.grad.abs().sum() > 0
    names = {n for n, _ in student.named_parameters()}
    assert 'distillation.imitation.projections.0.weight' in names


@pytest.mark.parametrize('name', [SSDLITE, RTMDET, RETINANET])
def test_heads_of_equal_form(name: str) -> None:
    options = {} if name == SSDLITE else dict(
        model__bbox_head__num_classes=3
    )  # fmt: skip
    student, teacher = (build(name, seed, **options) for seed in (0, 1))
    attach(student, teacher_of(teacher), dict(kind='logits'))
    student.train()
    images, samples = detection_batch()
    found = distilled(student(images, samples, mode='loss'))
    assert found.keys() == {'distill.loss_scores', 'distill.loss_boxes'}
    assert all(v.item() > 1e-4 for v in found.values())
    sum(found.values()).backward()
    assert all(p.grad is None for p in teacher.parameters())
    # A student that is its own teacher has nothing to learn.
    again = build(name, **options)
    for branch in getattr(again.bbox_head, 'rtm_reg', ()):
        branch.bias.data += 20  # distances above 0: boxes with an area
    attach(again, teacher_of(deepcopy(again)), dict(kind='logits'))
    again.eval()
    with torch.no_grad():
        found = distilled(again(images, samples, mode='loss'))
    # Padding is 0 for both, as are all other pixels of equal networks.
    assert all(v.abs().item() < 1e-4 for v in found.values())


def test_heatmaps() -> None:
    student, teacher = build(MONOCON), build(MONOCON, seed=1)
    used, _ = attach(student, teacher_of(teacher), {})
    assert used['kind'] == 'heatmap'
    imitation = student.distillation.imitation
    features = student.extract_feat(torch.rand(1, 3, 64, 96))
    ours = student.bbox_head(features, auxiliary=True)
    theirs = {k: v.detach().roll(1, -1) for k, v in ours.items()}
    found = imitation(ours, theirs, (64, 96))
    assert found.keys() == {'heatmap', 'keypoint_heatmap'}
    p, q = (m['heatmap'].double().detach() for m in (theirs, ours))
    each = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    weights = 1 - (1 - p) * (1 - q)
    expected = (each * weights).sum() / weights.sum()
    assert found['heatmap'].item() == pytest.approx(expected.item(), rel=1e-3)
    found['heatmap'].backward()
    out = student.bbox_head.branches['heatmap'][-1]
    assert out.weight.grad.abs().sum() > 0


def test_default_kinds() -> None:
    assert default_kind(build(SEGMENTER)) == 'cwd'
    assert default_kind(build(SSDLITE)) == 'pkd'
    assert default_kind(build(MONOCON)) == 'heatmap'


def test_features_of_segmenters() -> None:
    student, teacher = build(SEGMENTER), larger_segmenter()
    attach(student, teacher_of(teacher), dict(kind='cwd_features'))
    student.train()
    found = distilled(student(*segmentation_batch(), mode='loss'))
    assert found['distill.loss_cwd'].item() > 0


def test_what_does_not_fit() -> None:
    student = build(SSDLITE)

    def error_of(teacher: Any, classes: tuple = (), **settings: Any) -> str:
        with pytest.raises(UserError) as caught:
            attach(student, teacher, settings, classes)
        text = str(caught.value)
        assert '\n' not in text
        assert student._modules.get('distillation') is None
        return text

    segmenter = teacher_of(larger_segmenter())
    assert 'is a segmenter, and the model a detector' in error_of(segmenter)
    other = teacher_of(build(SSDLITE), ('cat', 'dog'))
    text = error_of(other, ('dog', 'cat'), kind='logits')
    assert 'are cat, dog, and those of' in text and '--distill pkd' in text
    text = error_of(teacher_of(build(RETINANET)), kind='logits')
    assert 'have different scores' in text and '--distill pkd' in text
    assert 'has no heatmap' in error_of(other, kind='heatmap')
    # features need no agreement of classes
    attach(student, other, dict(kind='pkd'), ('dog', 'cat'))


def test_strides_that_do_not_meet() -> None:
    from lvt_dense.engine.distillation.imitation import match_levels

    def levels(*sides: int) -> list[torch.Tensor]:
        return [torch.zeros(1, 2, side, side) for side in sides]

    size = (320, 320)
    assert match_levels(levels(80, 40), levels(40, 20), size) == [(1, 0)]
    assert match_levels(levels(40, 20), levels(41, 20), size) == [
        (0, 0),
        (1, 1),
    ]
    assert match_levels(levels(80), levels(40), size) == []
    student, teacher = build(SSDLITE), build(SSDLITE, seed=1)
    teacher.extract_feat = lambda images: levels(200, 101)
    with pytest.raises(UserError, match='at 2, 3: they have no stride'):
        attach(student, teacher_of(teacher), {})


def test_mixed_precision() -> None:
    student, teacher = build(SEGMENTER), larger_segmenter()
    attach(student, teacher_of(teacher), {})
    student.train()
    with torch.autocast('cpu', torch.bfloat16):
        found = distilled(student(*segmentation_batch(), mode='loss'))
    (loss,) = found.values()
    assert loss.dtype == torch.float32 and loss.isfinite()
    loss.backward()
