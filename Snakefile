"""From data to the paper's tables and figures; rules by topic in workflow/rules.

What rules of a topic ask of the configuration is in workflow/helpers: Snakemake's
linter wants no file with both.
"""

from snakemake.utils import min_version

min_version("9.0")


# Beside this file, so that --directory can put results elsewhere.
configfile: f"{workflow.basedir}/workflow/config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/helpers/data.smk"
include: "workflow/helpers/training.smk"
include: "workflow/helpers/diagnostics.smk"
include: "workflow/helpers/figures.smk"
include: "workflow/helpers/tables.smk"
include: "workflow/helpers/page.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/bandit.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/diagnostics.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/page.smk"


rule all:
    default_target: True
    input:
        BANDIT_TARGETS,
        DATA_FIGURE_TARGETS,
        COMPARISON_TARGETS,
        FIGURE_TARGETS,
        TABLE_TARGETS,
        CLAIM_TARGETS,
        PROVENANCE_TARGETS,
        PAGE_TARGETS,


# What the stages of dvc.yaml ask for.


rule bandit:
    input:
        BANDIT_TARGETS,


rule bandit_runs:
    input:
        run_files(BANDIT_CELLS),
        bandit_trajectories(),


rule local_runs:
    input:
        run_files(PROJECT.cells(["local"])),


rule remade_runs:
    input:
        run_files(REMADE_CELLS),
        [str(paths.cell_file(*cell)) for cell in REMADE_CELLS],


rule remade_data:
    input:
        COMPARISON_TARGETS,


rule local_datasets:
    input:
        [str(paths.dataset_manifest(task)) for task in PROJECT.suite("local").tasks],


rule local_episodes:
    input:
        recorded_episodes("local"),


rule local_figures:
    input:
        DATA_FIGURE_TARGETS,
        suite_figure_files(["local"]),


rule tables:
    input:
        TABLE_TARGETS,


rule claims:
    input:
        CLAIM_TARGETS,
