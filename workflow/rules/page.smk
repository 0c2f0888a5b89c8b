"""What a reader opens: claims, figures and tables on one page."""


rule write_page:
    input:
        "results/claims.json",
        "results/provenance/runs.html",
        PAGE_FIGURES,
        PAGE_TABLES,
    output:
        report(
            "results/index.html",
            caption="../report/page.rst",
            category="1 Results page",
            labels={"what": "claims, figures, tables on one page"},
        ),
    log:
        "results/logs/page.log",
    conda:
        "../../environment.yml"
    params:
        made_by=page_parameters,
        options=scale_options,
    message:
        "Write the results page"
    shell:
        "dql page {params.options} > {log:q} 2>&1"
