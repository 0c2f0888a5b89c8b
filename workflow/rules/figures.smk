"""Figures: of the bandit from its runs, of other suites from their cells.

A figure has a rule of its own, because a caption's file name takes no wildcard.
"""

for name in BANDIT_FIGURES:

    rule:
        name:
            f"draw_{name}"
        input:
            bandit_figure_files(name),
        output:
            f"figures/bandit/{name}.pdf",
            report(
                f"figures/bandit/{name}.png",
                caption=f"../report/{name}.rst",
                category="2 Bandit",
                labels={"what": FIGURE_TITLES.get(name, name), "format": "figure"},
            ),
        log:
            f"results/logs/figures/{name}.log",
        priority: drawing_priority(name)
        conda:
            "../../environment.yml"
        params:
            made_by=bandit_figure_parameters(name),
            # The command below is formatted when the loop has ended.
            name=name,
            options=scale_options,
        message:
            f"Draw figures/bandit/{name}"
        shell:
            "dql figure {params.name:q} {params.options} > {log:q} 2>&1"


for kind in figures.SUITE_FIGURES:

    rule:
        name:
            f"draw_{kind}"
        input:
            suite_cells(kind),
        output:
            f"figures/{{suite}}/{{suite}}_{kind}.pdf",
            report(
                f"figures/{{suite}}/{{suite}}_{kind}.png",
                caption=f"../report/{kind}.rst",
                category="4 Figures",
                labels={"suite": "{suite}", "what": FIGURE_TITLES.get(kind, kind)},
            ),
        log:
            f"results/logs/figures/{{suite}}_{kind}.log",
        wildcard_constraints:
            suite=any_of(suites_with(kind)),
        conda:
            "../../environment.yml"
        params:
            made_by=suite_figure_parameters(kind),
            kind=kind,
            options=scale_options,
        message:
            f"Draw figures/{{wildcards.suite}}/{{wildcards.suite}}_{kind}"
        shell:
            "dql figure {wildcards.suite:q}_{params.kind:q} {params.options}"
            " > {log:q} 2>&1"


rule draw_stills:
    input:
        episode_files,
    output:
        "figures/{suite}/{suite}_stills_{task}.pdf",
        report(
            "figures/{suite}/{suite}_stills_{task}.png",
            caption="../report/stills.rst",
            category="4 Figures",
            labels={
                "suite": "{suite}",
                "what": FIGURE_TITLES["stills"] + " on {task}",
            },
        ),
    log:
        "results/logs/figures/{suite}_stills_{task}.log",
    wildcard_constraints:
        suite=any_of(figures.STILLS_SUITES),
        task=any_of(STILLS_TASKS),
    conda:
        "../../environment.yml"
    params:
        made_by=suite_figure_parameters("stills"),
        options=scale_options,
    message:
        "Draw figures/{wildcards.suite}/{wildcards.suite}_stills_{wildcards.task}"
    shell:
        "dql figure {wildcards.suite:q}_stills_{wildcards.task:q} {params.options}"
        " > {log:q} 2>&1"


rule make_film:
    input:
        episode_files,
    output:
        "figures/films/{task}.gif",
    log:
        "results/logs/figures/film_{task}.log",
    wildcard_constraints:
        task=any_of(FILM_TASKS),
    conda:
        "../../environment.yml"
    params:
        made_by=film_parameters,
        options=scale_options,
    message:
        "Make a film of {wildcards.task}"
    shell:
        "dql film {wildcards.task:q} {params.options} > {log:q} 2>&1"


rule draw_action_modes:
    input:
        action_sample_files,
    output:
        "figures/{suite}/{suite}_action_modes.pdf",
        report(
            "figures/{suite}/{suite}_action_modes.png",
            caption="../report/action_modes.rst",
            category="4 Figures",
            labels={"suite": "{suite}", "what": FIGURE_TITLES["action_modes"]},
        ),
    log:
        "results/logs/figures/{suite}_action_modes.log",
    wildcard_constraints:
        suite=any_of(suites_with("action_modes")),
    conda:
        "../../environment.yml"
    params:
        made_by=suite_figure_parameters("action_modes"),
        options=scale_options,
    message:
        "Draw figures/{wildcards.suite}/{wildcards.suite}_action_modes"
    shell:
        "dql figure {wildcards.suite:q}_action_modes {params.options} > {log:q} 2>&1"


rule draw_ways:
    input:
        way_files,
    output:
        "figures/{suite}/{suite}_ways.pdf",
        report(
            "figures/{suite}/{suite}_ways.png",
            caption="../report/ways.rst",
            category="4 Figures",
            labels={"suite": "{suite}", "what": FIGURE_TITLES["ways"]},
        ),
    log:
        "results/logs/figures/{suite}_ways.log",
    wildcard_constraints:
        suite=any_of(suites_with("ways")),
    conda:
        "../../environment.yml"
    params:
        made_by=suite_figure_parameters("ways"),
        options=scale_options,
    message:
        "Draw figures/{wildcards.suite}/{wildcards.suite}_ways"
    shell:
        "dql figure {wildcards.suite:q}_ways {params.options} > {log:q} 2>&1"
