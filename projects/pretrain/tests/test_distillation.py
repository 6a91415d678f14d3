"""Teachers: classifiers, and backbones of anything."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from pretrain.classifier import ImageClassifier, mix_pairs

from lvt_dense.utils.errors import UserError

STUDENT = dict(type='lvt_dense.MobileViT', arch='xxs')
TEACHER = dict(type='lvt_dense.EMO', arch='1m')


def save_teacher(path: Path) -> ImageClassifier:
    torch.manual_seed(1)
    teacher = ImageClassifier(TEACHER, 3)
    teacher.init_weights()
    torch.nn.init.normal_(teacher.head.weight, std=1.0)
    torch.save(dict(state_dict=teacher.state_dict()), path)
    return teacher.eval()


def make_student(checkpoint: Path, **options: Any) -> ImageClassifier:
    distillation = dict(
        backbone=TEACHER, checkpoint=str(checkpoint), **options
    )
    model = ImageClassifier(STUDENT, 3, distillation=distillation)
    model.init_weights()
    return model


def batch() -> list[BaseDataElement]:
    made = [BaseDataElement() for _ in range(2)]
    for label, sample in enumerate(made):
        sample.gt_label = label
    return made


def test_logits_of_the_teacher_in_its_own_normalization(
    tmp_path: Path,
) -> None:
    path = tmp_path / 'teacher.pth'
    teacher = save_teacher(path)
    student = make_student(path, temperature=2.0, weight=0.5).eval()
    raw = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    images, theirs = (
        model.data_preprocessor(dict(inputs=list(raw)))['inputs']
        for model in (student, teacher)
    )
    assert not torch.allclose(images, theirs)  # BGR over 255, and ImageNet's
    with torch.no_grad():
        losses = student(images, batch(), mode='loss')
        ours = F.log_softmax(student(images) / 2, 1)
        soft = F.softmax(teacher(theirs) / 2, 1)
    divergence = (soft * (soft.log() - ours)).sum(1).mean()
    expected = 0.5 * 4 * divergence
    assert losses['loss_distillation'].item() == pytest.approx(
        expected.item(), rel=1e-3
    )


def test_only_the_student_learns_and_is_saved(tmp_path: Path) -> None:
    path = tmp_path / 'teacher.pth'
    save_teacher(path)
    student = make_student(path, match='features').train()
    images = torch.randn(2, 3, 64, 64)
    losses = student(images, batch(), mode='loss')
    assert 0 < losses['loss_distillation'] < 2
    sum(losses.values()).backward()
    grads = {n for n, p in student.named_parameters() if p.grad is not None}
    assert 'distillation.projection.weight' in grads
    assert grads == dict(student.named_parameters()).keys()
    assert not any('teacher' in key for key in student.state_dict())
    (teacher,) = student.distillation._teacher
    assert not teacher.training
    assert all(p.grad is None for p in teacher.parameters())


def test_features_of_a_detector(tmp_path: Path) -> None:
    teacher = save_teacher(tmp_path / 'teacher.pth')
    state = {
        f'backbone.{k}': v for k, v in teacher.backbone.state_dict().items()
    }
    state['bbox_head.cls.weight'] = torch.zeros(2)
    torch.save(dict(state_dict=state), tmp_path / 'detector.pth')
    student = make_student(tmp_path / 'detector.pth', match='features')
    (loaded,) = student.distillation._teacher
    for key, value in loaded.backbone.state_dict().items():
        assert torch.equal(value, state[f'backbone.{key}'])


def test_teachers_that_do_not_fit(tmp_path: Path) -> None:
    teacher = save_teacher(tmp_path / 'teacher.pth')
    torch.save(teacher.backbone.state_dict(), tmp_path / 'bare.pth')
    with pytest.raises(UserError, match="match='features'"):
        make_student(tmp_path / 'bare.pth')
    with pytest.raises(UserError, match='mismatched'):
        model = ImageClassifier(
            STUDENT,
            4,
            distillation=dict(
                backbone=TEACHER, checkpoint=str(tmp_path / 'teacher.pth')
            ),
        )
        model.init_weights()


def test_mixed_pairs() -> None:
    torch.manual_seed(0)
    values = torch.arange(16.0)
    images = values.view(16, 1, 1, 1).expand(16, 3, 2, 2)
    targets = F.one_hot(torch.arange(16), 16).float()
    mixed, soft = mix_pairs(images, targets, 50.0)  # nearly half and half
    assert torch.allclose(soft.sum(1), torch.ones(16))
    assert soft.max(1).values.min() < 0.7
    # An image of value v is of class v, so the mean tells the same.
    means = (soft * values).sum(1).view(16, 1, 1, 1)
    assert torch.allclose(mixed, means.expand(16, 3, 2, 2))
