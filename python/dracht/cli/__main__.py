"""`python -m dracht.cli`: the command line, where the `dracht` script is not on the path."""

from dracht.cli import main

if __name__ == "__main__":
    main()
