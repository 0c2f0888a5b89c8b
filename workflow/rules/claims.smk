"""Every claim of the paper judged, and how all runs were made."""


rule check_claims:
    input:
        ["results/bandit/summary.csv"] if BANDIT_CELLS else [],
        CLAIM_CELLS,
        CLAIM_WAYS,
    output:
        "results/claims.json",
        "results/claims.md",
    log:
        "results/logs/claims.log",
    conda:
        "../../environment.yml"
    params:
        made_by=claims_parameters,
    message:
        "Check the paper's claims"
    shell:
        "dql claims > {log:q} 2>&1"


rule describe_runs:
    input:
        provenance_files,
    output:
        report(
            "results/provenance/runs.html",
            caption="../report/runs.rst",
            category="6 How it was made",
            labels={"what": "provenance of every run"},
        ),
        "results/provenance/runs.csv",
    log:
        "results/logs/provenance.log",
    conda:
        "../../environment.yml"
    params:
        code=fingerprint.code_fingerprint("dql.tables.runs"),
    message:
        "Describe all runs"
    shell:
        "dql provenance > {log:q} 2>&1"
