"""The recipes that a plan chooses from, with what was measured of them.

Whoever has new measurements changes this table, and nothing else.
"""

from dataclasses import dataclass, field
from typing import Any

GOALS = ('cpu', 'phone', 'gpu')
TASKS = ('detection', 'instance', 'semantic', 'mono3d')


@dataclass(frozen=True)
class Recipe:
    """A candidate.

    Attributes:
        task: What it learns.
        config: Name of its config.
        title: What it is called in a plan.
        goals: Where its model is to run; of the candidates for one goal, the
            first is taken.
        why: Why it is taken for these.
        sizes: Sizes that it is trained at: shorter side of the input, in
            pixels, ascending.
        size: The usual one for each goal.
        object_pixels: Side of an object at the input that it needs, in
            pixels; smaller ones fall between its anchors or points.
        batch: Images of an update on a CPU and on a GPU.
        scratch_images: Images until it has learned a small data set from
            random weights, each counted as often as it is seen.
        start_images: The same from pretrained weights.
        least_updates: Updates below which a smaller image is the better use
            of the time.
        scratch_lr: Learning rate for a head with random weights, whether the
            backbone is pretrained or not, and the batch that it is for; None
            keeps the recipe's. It follows the root of the batch.
        augment: Presets of ``--augment`` for short and for long trainings.
        options: What else differs from the config, by dotted key.
    """

    task: str
    config: str
    title: str
    goals: tuple[str, ...]
    why: str
    sizes: tuple[int, ...]
    size: dict[str, int]
    object_pixels: int
    batch: dict[str, int]
    scratch_images: int
    start_images: int
    least_updates: int
    scratch_lr: tuple[float, int] | None = None
    augment: tuple[str, str] = ('light', 'recipe')
    options: dict[str, Any] = field(default_factory=dict)


RECIPES = (
    # From random weights: on 170 photographs of raccoons at 256 pixels mAP@50
    # 0.45 to 0.62 after 600 updates of 8 images (254 s of one core); on 360
    # rendered scenes at 192 pixels 0.56 to 0.66 after 1,530 updates of 4.
    # Without clipped gradients some seeds learn nothing on the scenes; on
    # raccoons clipping changes nothing on average (0.53, three seeds each) and
    # halves the spread. Images of 160 pixels and less hardly learn. After 600
    # updates, the recipe's own augmentation costs 5 points of mAP@50 and the
    # strong one 9. After 1,400, the recipe's costs 5 on raccoons and less than
    # 1 on 195 rendered images of cells, and brings 1.5 points of mAP on both;
    # see projects/few_photographs.
    Recipe(
        task='detection',
        config='lvt_dense::ssdlite_mobilevit_xxs_320_coco.py',
        title='SSDLite with MobileViT-XXS',
        goals=('cpu', 'phone'),
        why='1.8 M parameters, the fastest detector here',
        sizes=(192, 224, 256, 320, 384, 448, 512),
        size=dict(cpu=256, phone=320, gpu=320),
        object_pixels=24,
        batch=dict(cpu=8, gpu=16),
        scratch_images=16_000,
        start_images=8_000,
        least_updates=400,
        scratch_lr=(0.002, 8),
        augment=('light', 'light'),
        options={'optim_wrapper.clip_grad': {'max_norm': 5}},
    ),
    # Rate and batch were measured with MobileViT-XXS in place of EMO-1M: on
    # 170 photographs of raccoons at 256 pixels mAP@50 0.57 after 400 updates.
    # Its length is not measured.
    Recipe(
        task='detection',
        config='lvt_dense::rtmdet_emo_1m_coco.py',
        title='RTMDet with EMO-1M',
        goals=('gpu',),
        why='2.1 M parameters, for small objects as well',
        sizes=(256, 320, 416, 512, 640),
        size=dict(cpu=320, phone=320, gpu=512),
        object_pixels=12,
        batch=dict(cpu=8, gpu=16),
        scratch_images=24_000,
        start_images=8_000,
        least_updates=400,
        scratch_lr=(0.002, 8),
        augment=('light', 'strong'),
    ),
    # Rates and lengths are not measured on small data sets. Fewer regions than
    # in the recipe, which are most of the time of a step on a CPU.
    Recipe(
        task='instance',
        config='lvt_dense::mask_rcnn_mobilevit_coco.py',
        title='Mask R-CNN with MobileViT-XXS',
        goals=GOALS,
        why='the smallest backbone of the recipes for masks',
        sizes=(192, 256, 320, 480, 640, 800),
        size=dict(cpu=256, phone=256, gpu=480),
        object_pixels=16,
        batch=dict(cpu=2, gpu=8),
        scratch_images=16_000,
        start_images=6_000,
        least_updates=400,
        scratch_lr=(0.0003, 4),
        options={
            'model.backbone.arch': 'xxs',
            'model.neck.in_channels': [24, 48, 64, 80],
            'model.train_cfg.rpn_proposal.max_per_img': 300,
            'model.train_cfg.rcnn.sampler.num': 128,
            'model.test_cfg.rpn.max_per_img': 300,
        },
    ),
    # From random weights on CamVid after 900 updates of 8 crops, 11 minutes of
    # one core: 46.7 mIoU with the recipe's augmentation, 52.3 with the light
    # one, 55.6 without any. Short trainings have no time to learn several
    # scales; without flips they would learn the images by heart sooner.
    Recipe(
        task='semantic',
        config='lvt_dense::deeplabv3_mobilevit_xxs_360_camvid.py',
        title='DeepLabv3 with MobileViT-XXS',
        goals=GOALS,
        why='1.9 M parameters, learns from random weights',
        sizes=(240, 360, 480, 720),
        size=dict(cpu=360, phone=360, gpu=480),
        object_pixels=16,
        batch=dict(cpu=8, gpu=16),
        scratch_images=7_200,
        start_images=4_800,
        least_updates=300,
    ),
    # From random weights on 4,000 rendered scenes: 4,000 updates of 4 images
    # in 47 minutes of two cores.
    Recipe(
        task='mono3d',
        config='lvt_dense::monocon_mobilevit_xxs_kitti.py',
        title='MonoCon with MobileViT-XXS',
        goals=GOALS,
        why='the smallest monocular 3D detector here',
        sizes=(192, 288, 384),
        size=dict(cpu=192, phone=192, gpu=384),
        object_pixels=8,
        batch=dict(cpu=8, gpu=8),
        scratch_images=16_000,
        start_images=12_000,
        least_updates=400,
    ),
)
