"""``python -m lvt_dense`` is the command ``lvt-dense``."""

from lvt_dense.commands.main import main

if __name__ == '__main__':
    main()
