"""`python -m likeness`: the command line."""

from likeness.cli import main

if __name__ == "__main__":
    main()
