"""What `make` shows of a workflow: the lines of a person, not those of a log.

A logger plugin of Snakemake, `snakemake --logger dql`: it reads Snakemake's events and
the last lines of the jobs' logs. Snakemake finds plugins that are top-level packages of
its Python, which an editable install has none of; `dql.snakemake_launcher` registers
this one instead. Imports the ground only, and Snakemake's interface.

Public: `LogHandler`.
"""

from dql.console.handler import LogHandler

__all__ = ["LogHandler"]
