_base_ = './default_runtime.py'
default_hooks = dict(
    checkpoint=dict(
        interval=10,
        save_best='KITTI/Car_3D_AP40_moderate_strict',
        rule='greater',
    ),
)
visualizer = dict(type='lvt_dense.Mono3DVisualizer')
