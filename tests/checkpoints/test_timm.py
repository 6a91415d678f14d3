"""Names of timm's tensors, and records of its weights, without timm."""

from types import SimpleNamespace

import torch

from lvt_dense.checkpoints.timm import (
    TimmLayout,
    input_norm,
    timm_key,
    weight_file,
)

OWN = (
    'trunk.stem.0.conv.weight',
    'trunk.stem.0.bn.batch_norm.weight',
    'trunk.stages.1.blocks.0.weight',
)
WHOLE = (*(timm_key(key) for key in OWN), 'stages.2.weight', 'head.fc.bias')


def test_names_and_back() -> None:
    layout = TimmLayout(OWN, WHOLE)
    given = {key: torch.zeros(1) for key in (*WHOLE, 'foreign.weight')}
    own, unknown = layout.to_own(given)
    assert list(own) == list(OWN)
    assert unknown == ['foreign.weight']
    assert timm_key(OWN[1]) == 'stem.0.bn.weight'


def test_prefixes_and_flattened_names() -> None:
    layout = TimmLayout(OWN, WHOLE)
    assert layout.prefixes_of(WHOLE) == ['']
    wrapped = [f'encoder.model.{key}' for key in WHOLE]
    assert layout.prefixes_of(wrapped) == ['encoder.model.']
    flat = [
        'stem_0.conv.weight',
        'stem_0.bn.weight',
        'stages_1.blocks.0.weight',
    ]
    assert layout.prefixes_of(flat) == ['']
    own, unknown = layout.to_own({key: torch.zeros(1) for key in flat})
    assert list(own) == list(OWN) and not unknown
    assert layout.prefixes_of(['other.weight']) == []


def test_records() -> None:
    cfg = SimpleNamespace(
        hf_hub_id='timm/net.tag@v2',
        hf_hub_filename=None,
        url='',
        license='mit',
        origin_url=None,
        mean=(0.485, 0.456, 0.406),
        std=(0.5, 0.5, 0.5),
    )
    record = weight_file('net.tag', cfg)
    assert record.url == (
        'https://huggingface.co/timm/net.tag/resolve/v2/model.safetensors'
    )
    assert record.file_name == 'timm_net.tag.safetensors'
    assert record.license == 'mit'
    assert input_norm(cfg) == dict(
        mean=[123.675, 116.28, 103.53], std=3 * [127.5], bgr_to_rgb=True
    )
    cfg.hf_hub_id = None
    assert weight_file('net', cfg) is None
    cfg.url = 'https://example.com/net-1234.pth'
    assert weight_file('net', cfg).file_name == 'timm_net.pth'
