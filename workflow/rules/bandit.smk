"""The bandit: one summary of all runs, the claims it decides, the figures."""


rule summarize_bandit:
    input:
        run_files(BANDIT_CELLS),
    output:
        "results/bandit/summary.csv",
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
        report("results/bandit/claims.md", category="Bandit"),
    log:
        "results/logs/bandit/claims.log",
    conda:
        "../../environment.yml"
    params:
        made_by=claims_parameters,
        options=scale_options,
    message:
        "Check the paper's claims about the bandit"
    shell:
        "dql bandit claims {params.options} > {log:q} 2>&1"


rule draw_bandit_figure:
    input:
        summary="results/bandit/summary.csv",
        runs=figure_run_files,
    output:
        "figures/{figure}.pdf",
        report("figures/{figure}.png", category="Bandit", labels={"figure": "{figure}"}),
    log:
        "results/logs/figures/{figure}.log",
    wildcard_constraints:
        figure=any_of(FIGURES),
    conda:
        "../../environment.yml"
    params:
        made_by=figure_parameters,
        options=scale_options,
    message:
        "Draw figures/{wildcards.figure}"
    shell:
        "dql bandit figure {wildcards.figure:q} {params.options} > {log:q} 2>&1"
