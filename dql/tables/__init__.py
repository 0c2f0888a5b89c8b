"""One file for each table, from cells and the paper's numbers to csv, md, tex, html.

Reads stored results only (`dql.results`, `dql.config`); trains and draws nothing.

Public: `registry.write_table`, `runs.write_run_table`, `aggregation`.
"""
