"""`python -m zoozl` is the `zoozl` command."""

from zoozl.cli import main

if __name__ == "__main__":
    main()
