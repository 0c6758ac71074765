"""`python -m culvert` is `culvert`."""

from culvert.cli.main import main

if __name__ == "__main__":
    main()
