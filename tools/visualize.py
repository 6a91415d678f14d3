"""The same as ``lvt-dense visualize``."""

from lvt_dense.commands.main import main

if __name__ == '__main__':
    main('visualize')
