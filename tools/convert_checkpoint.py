"""The same as ``lvt-dense convert``."""

from lvt_dense.commands.main import main

if __name__ == '__main__':
    main('convert')
