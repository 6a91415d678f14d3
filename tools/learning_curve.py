"""The same as ``lvt-dense learning-curve``."""

from lvt_dense.commands.main import main

if __name__ == '__main__':
    main('learning-curve')
