"""The same as ``lvt-dense test``."""

from lvt_dense.commands.main import main

if __name__ == '__main__':
    main('test')
