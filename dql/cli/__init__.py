"""The `dql` command: the one place that parses arguments.

A verb imports what it needs when it is called, so that `--help` is quick. Nothing
imports this package but the entry points of commands.

Public: `main.main`.
"""
