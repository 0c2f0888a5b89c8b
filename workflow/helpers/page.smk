"""What the rule of the results page asks."""

PAGE_TARGETS = [str(paths.PAGE)]
PAGE_FIGURES = [
    file
    for file in [*BANDIT_TARGETS, *DATA_FIGURE_TARGETS, *FIGURE_TARGETS]
    if file.endswith(".png")
]
PAGE_TABLES = [
    file for file in [*TABLE_TARGETS, *COMPARISON_TARGETS] if file.endswith(".html")
]


def page_parameters(wildcards):
    """Return what decides the page besides its inputs: code, layout, kept verdicts."""
    kept = paths.SOURCE / paths.KEPT
    parts = [
        *paths.REPORT.glob("page.*"),
        *paths.REPORT.glob("*.rst"),
        *kept.glob("*/claims.json"),
        *kept.glob("*/bandit/claims.json"),
        *kept.glob("*/runs.csv"),
    ]
    texts = [file.read_text("utf-8") for file in sorted(parts)]
    code = fingerprint.code_fingerprint("dql.publication.page")
    return f"{code}-{digest(texts)}"
