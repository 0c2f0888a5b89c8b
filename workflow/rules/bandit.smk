"""The bandit: one summary of all runs, the claims it decides, the figures."""


rule summarize_bandit:
    input:
        run_files(BANDIT_CELLS),
    output:
        report(
            "results/bandit/summary.csv",
            caption="../report/bandit_summary.rst",
            category="2 Bandit",
            labels={"what": "numbers, run by run", "format": "csv (download)"},
        ),
    log:
        "results/logs/bandit/summary.log",
    conda:
        "../../environment.yml"
    params:
        code=provenance.code_fingerprint("dql.bandit_summary"),
        options=scale_options,
    message:
        "Summarize the bandit runs"
    shell:
        "dql bandit summary {params.options} > {log:q} 2>&1"


rule check_bandit_claims:
    input:
        "results/bandit/summary.csv",
    output:
        "results/bandit/claims.json",
        "results/bandit/claims.md",
    log:
        "results/logs/bandit/claims.log",
    conda:
        "../../environment.yml"
    params:
        made_by=bandit_claims_parameters,
        options=scale_options,
    message:
        "Check the paper's claims about the bandit"
    shell:
        "dql bandit claims {params.options} > {log:q} 2>&1"


for figure in FIGURES:

    rule:
        name:
            f"draw_{figure}"
        input:
            summary="results/bandit/summary.csv",
            runs=figure_run_files,
        output:
            "figures/{figure}.pdf",
            report(
                "figures/{figure}.png",
                caption=caption(figure),
                category="2 Bandit",
                labels={"what": FIGURE_TITLES.get(figure, figure), "format": "figure"},
            ),
        log:
            "results/logs/figures/{figure}.log",
        wildcard_constraints:
            figure=any_of([figure]),
        conda:
            "../../environment.yml"
        params:
            made_by=figure_parameters,
            options=scale_options,
        message:
            "Draw figures/{wildcards.figure}"
        shell:
            "dql bandit figure {wildcards.figure:q} {params.options} > {log:q} 2>&1"
