"""``python -m kzoo`` is the command line."""

from kzoo.cli import main

if __name__ == "__main__":
    main()
