"""The same as ``lvt-dense train``."""

from lvt_dense.commands.main import main

if __name__ == '__main__':
    main('train')
