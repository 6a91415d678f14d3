"""The same as ``lvt-dense kitti-eval``."""

from lvt_dense.commands.main import main

if __name__ == '__main__':
    main('kitti-eval')
