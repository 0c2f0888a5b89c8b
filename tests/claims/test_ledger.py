"""Every claim of the project: what it takes for each verdict, and readable mistakes."""

from collections import Counter
from itertools import product

import pytest
from stored_results import write_d4rl_cell

from dql.claims.d4rl import load_claims
from dql.claims.file import CLAIMS, FAILS, HOLDS, TOO_FEW, UNTESTED
from dql.claims.ledger import judge_all
from dql.claims.records import D4RL_SUITES, REMADE, RUNS
from dql.config.project import load_project
from dql.errors import UserError

GYM = [n for n, t in load_project(scale="paper").tasks.items() if t.suite == "gym"]


@pytest.fixture(scope="module")
def untested(tmp_path_factory):
    """Return the records where nothing has been run."""
    return judge_all(tmp_path_factory.mktemp("empty"))


def record(records, name, where=RUNS):
    found = [r for r in records if r["name"] == name and r["where"].startswith(where)]
    assert len(found) == 1
    return found[0]


def test_without_runs_nothing_that_needs_runs_is_decided(untested):
    for claim in untested:
        if claim["section"] == "bandit" or claim["where"] in (RUNS, REMADE):
            assert claim["verdict"] == UNTESTED and claim["reason"]


def test_a_claim_on_remade_data_gets_what_it_asks_for_from_its_scale(untested):
    project, least = load_project(scale="evidence"), load_claims(CLAIMS).remade
    planned = Counter((task, method) for task, method, _ in project.runs())
    for claim in untested:
        if claim["where"] == REMADE:
            *_, tasks, methods = claim["target"].removesuffix(".json").split("/")
            asked = product(
                tasks.strip("{}").split(","), methods.strip("{}").split(",")
            )
            assert min(planned[cell] for cell in asked) >= least.min_seeds, claim[
                "name"
            ]


@pytest.mark.parametrize(
    ("name", "where", "verdict", "number"),
    [
        ("best-on-most-tasks", "published table 1", HOLDS, "best in 16 of 20"),
        ("highest-gym-average", "published table 1", HOLDS, "+10.3 points over CQL"),
        ("gym-average", "published table 1", HOLDS, "87.91"),
        ("kitchen-average", "published table 1", UNTESTED, "no source prints"),
        ("expressiveness-contributes", "published table 2", UNTESTED, "inferred"),
        (
            "coupling-contributes",
            "published table 2",
            HOLDS,
            "+0.9 points (standard error 0.6) over BCQ-Diffusion",
        ),
        ("antmaze-average-69.8", "published table 1", FAILS, "69.63, stated 69.8"),
        ("best-variant-on-every-task", "published table 2", FAILS, "2 of 3"),
        ("one-protocol-in-both-tables", "published table 2", FAILS, "97.2 / 96.8"),
        ("table-two-selects-online", "published table 2", HOLDS, "all are the same"),
        ("no-spread-reported", "published table 1", FAILS, "9 of 90"),
        ("number-of-models", "published table 1", UNTESTED, "Appendix C says 6"),
        ("offline-selection-is-near-online", "published", HOLDS, "6.1 at most"),
        ("weight-is-one-everywhere", "settings", FAILS, "0.005 (3 of 20)"),
        ("weight-is-one-on-gym", "settings", HOLDS, "eta 1 on all 9 tasks"),
        ("epochs-elsewhere", "settings", FAILS, "250,000 (1 of 11)"),
        ("second-or-third-lowest-loss", "settings", FAILS, "0 (3 of 20)"),
        ("no-clipping", "settings", FAILS, "1 (2 of 20)"),
        ("no-schedule", "settings", HOLDS, "none on all 20 tasks"),
    ],
)
def test_print_and_settings_decide_without_runs(untested, name, where, verdict, number):
    claim = record(untested, name, where)
    assert claim["verdict"] == verdict
    assert number in claim["reason"]
    assert claim["cost"]["num_runs"] == 0


def test_costs_follow_the_configuration(untested):
    gym = record(untested, "gym-average")
    seeds = len(load_project(scale="paper").suite("gym").seeds)
    assert gym["cost"] == {
        "scale": "paper",
        "num_runs": 9 * seeds,
        "num_gradient_steps": 9 * seeds * 2_000_000,
    }
    assert gym["target"].startswith("results/cells/{halfcheetah-medium-v2,hopper-")
    assert gym["target"].endswith("/diffusion_ql.json")
    modes = record(untested, "diffusion-covers-all-modes", "axes")
    assert modes["cost"]["num_gradient_steps"] == 3 * 4000
    rises = record(untested, "cloning-sharper-with-steps", "axes")
    assert rises["cost"]["num_runs"] == 3 * 5


def gym_cells(root, means, **changes):
    for index, task in enumerate(GYM):
        write_d4rl_cell(root, task, "diffusion_ql", means(index), **changes)


def published_like(index):
    return [87.0, 88.0, 88.0, 88.0, 89.0]


@pytest.mark.parametrize(
    ("means", "average", "highest"),
    [
        (published_like, HOLDS, HOLDS),
        (lambda index: [49.0, 50.0, 50.0, 51.0, 50.0], FAILS, FAILS),
        (lambda index: [20.0, 150.0, 40.0, 130.0, 100.0], UNTESTED, UNTESTED),
    ],
)
def test_runs_at_the_papers_protocol_decide(tmp_path, means, average, highest):
    gym_cells(tmp_path, means)
    records = judge_all(tmp_path)
    assert record(records, "gym-average")["verdict"] == average
    claim = record(records, "highest-gym-average")
    assert claim["verdict"] == highest
    assert "interval" in claim["reason"]
    assert record(records, "antmaze-average")["verdict"] == UNTESTED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scale": "quick"}, "made at scale quick"),
        ({"num_gradient_steps": 6000}, "needs 2,000,000 gradient steps, has 6,000"),
        ({"num_evaluation_episodes": 2}, "needs 10 evaluation episodes, has 2"),
        ({"physics": "stock"}, "stock physics"),
        ({"source": "local"}, "not D4RL's (source: local)"),
    ],
)
def test_smaller_or_other_runs_decide_nothing(tmp_path, changes, reason):
    gym_cells(tmp_path, published_like, **changes)
    claim = record(judge_all(tmp_path), "gym-average")
    assert claim["verdict"] == UNTESTED and reason in claim["reason"]


def test_four_seeds_are_too_few(tmp_path):
    gym_cells(tmp_path, lambda index: [88.0, 87.0, 88.0, 88.5])
    claim = record(judge_all(tmp_path), "gym-average")
    assert claim["verdict"] == TOO_FEW and "needs 5 seeds, has 4" in claim["reason"]
    assert claim["headline"] == "4 of the 5 seeds needed"


EXPERTS = [
    f"remade-{body}-medium-expert" for body in ("hopper", "walker2d", "halfcheetah")
]


def remade_cells(root, method, scores, **changes):
    """Write cells of a method on the three remade medium-expert tasks."""
    changes = {
        "scale": "evidence",
        "source": "remade",
        "num_gradient_steps": 100_000,
        **changes,
    }
    for task in EXPERTS:
        write_d4rl_cell(root, task, method, scores, **changes)


@pytest.mark.parametrize(
    ("ours", "verdict", "headline"),
    [
        ([90.0, 91.0, 92.0], HOLDS, "over BC-Diffusion"),
        ([30.0, 31.0, 32.0], FAILS, "over BC-Diffusion"),
        ([55.0, 61.0, 70.0], UNTESTED, "inconclusive"),
        ([90.0, 91.0], TOO_FEW, "2 of the 3 seeds needed"),
        ([90.0], TOO_FEW, "1 of the 3 seeds needed"),
        ([], UNTESTED, "3 of 6 cells missing or too small"),
    ],
)
def test_remade_data_have_verdicts_of_their_own(tmp_path, ours, verdict, headline):
    remade_cells(tmp_path, "bc_diffusion", [60.0, 61.0, 62.0])
    if ours:
        remade_cells(tmp_path, "diffusion_ql", ours)
    records = judge_all(tmp_path)
    claim = record(records, "improvement-contributes", REMADE)
    assert claim["verdict"] == verdict and headline in claim["headline"]
    assert claim["cost"]["scale"] == "evidence"
    # Whatever they say, D4RL's column says that nothing was run.
    assert record(records, "improvement-contributes")["headline"] == "no runs"
    assert record(records, "gym-average")["verdict"] == UNTESTED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_gradient_steps": 99_000}, "needs 100,000 gradient steps, has 99,000"),
        ({"scale": "quick"}, "made at scale quick, needs scale evidence"),
        ({"source": "local"}, "its data are not remade data (source: local)"),
        ({"source": "d4rl"}, "its data are not remade data (source: d4rl)"),
    ],
)
def test_other_cells_decide_nothing_on_remade_data(tmp_path, changes, reason):
    for method in ("diffusion_ql", "bc_diffusion"):
        remade_cells(tmp_path, method, [60.0, 61.0, 62.0], **changes)
    claim = record(judge_all(tmp_path), "improvement-contributes", REMADE)
    assert claim["verdict"] == UNTESTED and reason in claim["reason"]


def test_a_remade_cell_never_counts_as_a_d4rl_run(tmp_path):
    changes = {"source": "remade", "num_gradient_steps": 2_000_000}
    gym_cells(tmp_path, published_like, **changes)
    claim = record(judge_all(tmp_path), "gym-average")
    assert claim["verdict"] == UNTESTED
    assert "not D4RL's (source: remade)" in claim["reason"]


def test_rules_and_tasks_on_remade_data_are_the_claims_or_its_own(untested):
    gym = record(untested, "highest-gym-average", REMADE)
    assert "Diffuser" not in gym["rule"] and "TD3+BC, IQL" in gym["rule"]
    assert "Diffuser" in record(untested, "highest-gym-average")["rule"]
    stable = record(untested, "training-is-stable", REMADE)
    assert stable["target"].startswith("results/cells/remade-hopper-medium-expert/")


def test_every_claim_is_of_a_known_source_and_suite(untested):
    assert {claim["origin"] for claim in untested} == {"paper", "circulating"}
    names = {(claim["name"], claim["where"]) for claim in untested}
    assert len(names) == len(untested)
    assert set(D4RL_SUITES) == {"gym", "antmaze", "adroit", "kitchen"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("best_in: 11", "best_at: 11", "best-on-most-tasks.*'best_at'.*'best_in'"),
        ("- average_is: 87.9\n          method: diffusion_ql",
         "- average_is: 87.9\n          method: difusion_ql",
         "gym-average.*method.*'difusion_ql'.*'diffusion_ql'"),
        ("others: [bcq_diffusion]", "others: [BCQ-Difusion]", "Did you mean 'BCQ-Dif"),
        ("      source: Table 1, Gym\n", "", "highest-gym-average.*source.*required"),
        ("average_is: 69.6\n          method: diffusion_ql", "average_is: 69.6",
         "antmaze-average.*average_is.*method.*required"),
        ("suites: [gym]\n      table: table4", "suites: [gim]\n      table: table4",
         "offline-selection.*suites.*'gim'.*'gym'"),
        ("        - walker2d-medium-expert-v2", "        - local-hopper-medium-expert",
         "expressiveness.*no task of D4RL"),
        ("every_task: {q_normalizer: [none]}", "every_task: {q_normaliser: [none]}",
         "raw-q.*'q_normaliser'.*'q_normalizer'"),
        ("name: raw-q", "name: no-clipping", "'no-clipping' is there twice"),
        ("min_seeds: 5", "min_seed: 5", "d4rl: .*'min_seed'.*'min_seeds'"),
        ("others: [bc_diffusion, td3_bc, iql]", "others: [bc_difusion]",
         "best-on-most-tasks.*others.*'bc_difusion'"),
        ("remade: {}", "remade: {ruels: []}", "contributes.*'ruels'.*'rules'"),
        ("remade: {tasks: [hopper-medium-expert-v2]}", "remade: {tasks: [hoper]}",
         "five-steps.*no remade task is the twin of hoper"),
        ("settings:\n", "setings:\n", "section 'setings'.*'settings'"),
        ("methods: [bc_mle]", "methods: [bc_mele]", "mle-is-unimodal.*'bc_mele'"),
    ],
)  # fmt: skip
def test_a_mistake_names_claim_key_and_nearest(tmp_path, old, new, message):
    text = CLAIMS.read_text()
    assert old in text
    path = tmp_path / "claims.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=f"(?s){message}"):
        judge_all(tmp_path, path)
