"""The same as ``lvt-dense make-demo-data``."""

from lvt_dense.commands.main import main

if __name__ == '__main__':
    main('make-demo-data')
