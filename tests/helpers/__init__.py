"""What several test files share; import it as ``helpers``.

``commands`` runs the command line in this process, ``processes`` runs Python
in a process of its own, ``kitti`` and ``segmentation`` make small data and
small configs, ``official`` compares with figures of official codes,
``schedules`` plays learning rates.
"""
