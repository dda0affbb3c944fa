"""``python -m userstack``: the command, where its script is not on the path."""

from userstack.cli.main import main

if __name__ == "__main__":
    main()
