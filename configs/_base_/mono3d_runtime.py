_base_ = './default_runtime.py'
default_hooks = dict(
    checkpoint=dict(
        interval=10,
        # Of Car, or the mean where Car is no class.
        save_best='KITTI/3D_AP40_moderate_strict',
        rule='greater',
    ),
)
custom_hooks = [dict(type='lvt_dense.Mono3DCheckHook')]
visualizer = dict(type='lvt_dense.Mono3DVisualizer')
