"""The bandit: one summary of all runs, and the claims it decides."""


rule summarize_bandit:
    input:
        run_files(BANDIT_CELLS),
    output:
        report(
            "results/bandit/summary.csv",
            caption="../report/bandit_summary.rst",
            category="2 Bandit",
            labels={"what": "8 numbers, run by run", "format": "csv (download)"},
        ),
    log:
        "results/logs/bandit/summary.log",
    conda:
        "../../environment.yml"
    params:
        code=fingerprint.code_fingerprint("dql.results.bandit_summary"),
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
