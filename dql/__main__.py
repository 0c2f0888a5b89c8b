"""`python -m dql` is the `dql` command."""

from dql.cli.main import main

if __name__ == "__main__":
    main()
