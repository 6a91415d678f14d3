"""Try a backbone in 41 detectors of MMDetection, in every mode of each.

    python projects/swap_sweep/suite.py --backbone emo_1m

A mode that fails is tried with the detector's own backbone too, so that what
is the swap's fault can be told from what is not.
"""

import argparse
import sys
from pathlib import Path

from lvt_dense.commands.parser import command

DETECTORS = (
    'atss/atss_r50_fpn_1x_coco',
    'autoassign/autoassign_r50-caffe_fpn_1x_coco',
    'boxinst/boxinst_r50_fpn_ms-90k_coco',
    'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco',
    'cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco',
    'centernet/centernet_r18_8xb16-crop512-140e_coco',
    'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance',
    'conditional_detr/conditional-detr_r50_8xb2-50e_coco',
    'dab_detr/dab-detr_r50_8xb2-50e_coco',
    'ddod/ddod_r50_fpn_1x_coco',
    'ddq/ddq-detr-4scale_r50_8xb2-12e_coco',
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco',
    'detr/detr_r50_8xb2-150e_coco',
    'dino/dino-4scale_r50_8xb2-12e_coco',
    'double_heads/dh-faster-rcnn_r50_fpn_1x_coco',
    'dyhead/atss_r50_fpn_dyhead_1x_coco',
    'dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco',
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    'foveabox/fovea_r50_fpn_4xb4-1x_coco',
    'free_anchor/freeanchor_r50_fpn_1x_coco',
    'fsaf/fsaf_r50_fpn_1x_coco',
    'gfl/gfl_r50_fpn_1x_coco',
    'grid_rcnn/grid-rcnn_r50_fpn_gn-head_2x_coco',
    'htc/htc-without-semantic_r50_fpn_1x_coco',
    'libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco',
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco',
    'nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco',
    'paa/paa_r50_fpn_1x_coco',
    'point_rend/point-rend_r50-caffe_fpn_ms-1x_coco',
    'queryinst/queryinst_r50_fpn_1x_coco',
    'retinanet/retinanet_r50_fpn_1x_coco',
    'rtmdet/rtmdet_tiny_8xb32-300e_coco',
    'solov2/solov2-light_r18_fpn_ms-3x_coco',
    'sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco',
    'ssd/ssd300_coco',
    'tood/tood_r50_fpn_1x_coco',
    'vfnet/vfnet_r50_fpn_1x_coco',
    'yolof/yolof_r50-c5_8xb8-1x_coco',
    'yolox/yolox_tiny_8xb8-300e_coco',
)


def examine_modes(name: str, backbone: str, known: dict) -> dict:
    """Swap one config and try every mode.

    Args:
        name: The config.
        backbone: Name of the backbone.
        known: Not used; every config is tried.

    Returns:
        A row as of the sweep. The verdict is ``works``, ``as own`` where what
        fails does so with the own backbone too, ``failed`` or ``refused``.
    """
    from swap_sweep.trial import listed_backbones, try_modes

    from lvt_dense import swap_backbone
    from lvt_dense.config import load_config
    from lvt_dense.utils.errors import UserError

    original = load_config(name, import_custom_modules=False)
    row = dict(config=name, old=', '.join(listed_backbones(original.model)))
    try:
        swapped = swap_backbone(original, backbone)
    except UserError as error:
        return dict(row, verdict='refused', reason=str(error))
    faults = {k: v for k, v in try_modes(swapped).items() if v}
    if not faults:
        return dict(row, verdict='works', reason='')
    own = try_modes(original)
    verdict = 'as own' if all(own[mode] for mode in faults) else 'failed'
    reason = '; '.join(f'{mode}: {fault}' for mode, fault in faults.items())
    return dict(row, verdict=verdict, reason=reason)


def parse_args() -> argparse.Namespace:
    """Read the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--backbone', default='emo_1m')
    parser.add_argument('--only', default='', help="part of configs' names")
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument('--timeout', type=float, default=300.0)
    parser.add_argument('--out', default='work_dirs/swap_suite')
    return parser.parse_args()


@command
def main() -> None:
    """Run the suite, write the tables, print the counts."""
    args = parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from swap_sweep.sweep import sweep, write_table

    names = [f'mmdet::{name}' for name in DETECTORS if args.only in name]
    out = Path(args.out).absolute()
    log = out / f'{args.backbone}.jsonl'
    rows = sweep(
        names, args.backbone, log, args.workers, args.timeout, examine_modes
    )
    write_table(rows, out / f'{args.backbone}.md')
    for verdict in ('works', 'as own', 'failed', 'refused'):
        found = [row for row in rows if row['verdict'] == verdict]
        print(f'{len(found):3} {verdict}')
        if verdict != 'works':
            for row in found:
                print(f'      {row["config"]}: {row["reason"]}')


if __name__ == '__main__':
    main()
