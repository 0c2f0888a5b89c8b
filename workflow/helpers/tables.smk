"""What the rules of cells, tables, claims and provenance ask."""

TABLE_TITLES = {
    "remade": "D4RL's sets remade (not D4RL's files): Table 1's form",
    "local": "data made here (not D4RL): the machinery works",
    "d4rl": "D4RL, Table 1: published and ours",
    "selection": "online against offline selection (Table 4)",
    "ablation": "policies and regularisers (Table 2)",
    "mixture": "mixture policy",
    "hyperparameters": "hyperparameters, ours and the paper's",
    "compute": "compute by task and method",
    "stability": "chance between evaluations, the last policy on more episodes",
}
TABLES = PROJECT.tables
TABLE_TARGETS = [
    str(paths.table_file(name, extension))
    for name in TABLES
    for extension in tables.EXTENSIONS
]


def cell_run_files(wildcards):
    """Return the files of a cell's runs."""
    return run_files([(wildcards.task, wildcards.method)])


def cell_manifests(wildcards):
    """Return the manifest of a cell's data, and that of its restored runs' data."""
    restored = paths.restored_manifest(wildcards.task)
    manifest = training_manifest(wildcards)
    return [manifest, str(restored)] if restored.is_file() else manifest


def cell_parameters(wildcards):
    """Return what decides a cell besides its runs: code, name, references, selection."""
    task = PROJECT.task(wildcards.task).model_dump(mode="json")
    names = labels([(wildcards.task, wildcards.method)])
    code = fingerprint.code_fingerprint("dql.results.cells")
    return f"{code}-{digest(task)}-{names}-{PROJECT.config.selection_rule}"


def table_inputs(name):
    """Return the cells, runs and summaries of this scale that a table reads."""
    cells = [paths.cell_file(*cell) for cell in tables.table_cells(PROJECT, name)]
    runs = run_files(tables.table_runs(PROJECT, name))
    summary = [paths.BANDIT_SUMMARY] if tables.reads_bandit(PROJECT, name) else []
    measured = tables.measured_cells(PROJECT, name)
    files = runs + measured_files(measured, paths.stability_file)
    return [str(path) for path in cells + summary] + files


def table_parameters(name):
    """Return what decides a table besides its inputs: code, settings, published scores."""
    published = [
        file.read_text("utf-8") for file in sorted(paths.PUBLISHED.glob("*.csv"))
    ]
    code = fingerprint.code_fingerprint("dql.tables.registry")
    settings = tables.table_settings(PROJECT, name)
    ranking = PROJECT.config.min_steps_to_rank
    return f"{code}-{digest(published, settings, ranking)}"


OTHER_DATA = ("bandit", "local", "remade")
D4RL_SUITES = [name for name in PROJECT.scale.suites if name not in OTHER_DATA]
CLAIM_SUITES = [*D4RL_SUITES, *({"remade"} & PROJECT.scale.suites.keys())]
CLAIM_CELLS = [str(paths.cell_file(*cell)) for cell in PROJECT.cells(CLAIM_SUITES)]
CLAIM_WAYS = measured_files(
    figures.way_cells(PROJECT.cells(PROJECT.scale.suites)), paths.ways_file
)
CLAIM_TARGETS = [
    str(paths.ALL_CLAIMS.with_suffix(suffix)) for suffix in (".json", ".md")
]
PROVENANCE_TARGETS = [str(paths.run_table(extension)) for extension in ("csv", "html")]


def claims_parameters(wildcards):
    """Return what decides the verdicts besides the inputs: code, claims, settings.

    Cells that this scale does not train count by their content where they are there.
    """
    others = {
        str(path): path.read_text("utf-8")
        for task in PROJECT.tasks.values()
        if task.suite in (*D4RL_SUITES, "remade")
        for path in sorted((paths.CELLS / task.name).glob("*.json"))
        if str(path) not in CLAIM_CELLS
    }
    others |= {
        str(path): path.read_text("utf-8")
        for path in sorted(paths.WAYS.glob("*/*/*.csv"))
        if str(path) not in CLAIM_WAYS
    }
    files = [
        paths.CLAIMS,
        *paths.PUBLISHED.glob("*.csv"),
        *paths.CONFIG.rglob("*.yaml"),
    ]
    texts = [file.read_text("utf-8") for file in sorted(files)]
    return f"{fingerprint.code_fingerprint('dql.claims.page')}-{digest(texts, others)}"


def provenance_files(wildcards):
    """Return the provenance of every run of this scale."""
    return [
        str(paths.run_directory(*run) / paths.PROVENANCE_FILE) for run in PROJECT.runs()
    ]
