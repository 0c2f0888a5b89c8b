"""Nothing that is read can run code, leave its folder or carry a secret away."""

import ast
import re
import subprocess
import threading
from pathlib import Path

import crashes
import pytest
from file_server import Handler, Server
from yaml.constructor import SafeConstructor

from dql.config.project import load_project
from dql.config.rows import MethodsFile, TasksFile, fill_tasks
from dql.config.schema import ProjectConfig, RunConfig, TaskConfig
from dql.config.validation import validate
from dql.config.yaml_text import UniqueKeyLoader
from dql.data import download
from dql.errors import UserError
from dql.training.loop import train
from dql.upkeep.keep import keep

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "dql").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
RULES = [ROOT / "Snakefile", *sorted((ROOT / "workflow" / "rules").glob("*.smk"))]

UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
EXECUTORS = {"eval", "exec", "os.system", "os.popen"}
QUOTED = re.compile(r"(wildcards\.\w+|params\.\w+|log|input|output)(\.\w+)?:q")
UNQUOTED = {"threads", "params.cells", "params.options", "params.seeds"}
"""Numbers, and options that the rules' helpers have quoted themselves."""

ATTACKS = ["a; touch b", "$(touch b)", "`touch b`", "a b", "../a", "a/b", "a'b", "-a"]


def called(node):
    """Return the dotted name that a call calls."""
    return ast.unparse(node.func)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_source_runs_what_it_reads(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not UNPICKLERS & {name.name.split(".")[0] for name in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.split(".")[0] not in UNPICKLERS
        if isinstance(node, ast.Call):
            options = {option.arg: option.value for option in node.keywords}
            assert called(node) not in EXECUTORS, ast.unparse(node)
            if called(node) == "yaml.load":
                assert ast.unparse(options["Loader"]) == "UniqueKeyLoader"
                assert issubclass(UniqueKeyLoader, SafeConstructor)
            if called(node) == "torch.load":
                assert ast.literal_eval(options["weights_only"]) is True
            assert "shell" not in options, ast.unparse(node)
            if called(node) in ("np.load", "numpy.load", "np.save", "np.savez"):
                allowed = options.get("allow_pickle")
                writes = "save" in called(node)
                assert writes or (allowed and not ast.literal_eval(allowed))


def shell_texts():
    """Return the shell commands of all rules, each as one text."""
    for path in RULES:
        lines = iter(path.read_text(encoding="utf-8").splitlines())
        for line in lines:
            if line.strip() == "shell:":
                words = []
                for following in lines:
                    if not re.match(r'\s+"', following):
                        break
                    words.append(following.strip().strip('"'))
                yield path.name, "".join(words)


def test_rules_quote_every_name_in_their_shell_commands():
    commands = list(shell_texts())
    assert len(commands) >= 8
    for file, command in commands:
        for name in re.findall(r"\{([^{}]*)\}", command):
            assert name in UNQUOTED or QUOTED.fullmatch(name), (file, name, command)


@pytest.mark.parametrize("name", ATTACKS)
def test_names_that_a_shell_would_read_are_refused(name):
    project = load_project(scale="smoke")
    task = project.task("bandit-axes").model_dump()
    method = project.methods["td3_bc"].model_dump()
    run = project.run_config("bandit-axes", "td3_bc", 0).model_dump()
    config = project.config.model_dump()
    attempts = [
        (TasksFile, {"tasks": {name: task}}),
        (TaskConfig, task | {"environment": name}),
        (MethodsFile, {"methods": {name: method}}),
        (ProjectConfig, config | {"scale": name}),
        (ProjectConfig, config | {"tables": {name: ["local"]}}),
        (RunConfig, run | {"task": name}),
        (RunConfig, run | {"method": name}),
    ]
    for model, values in attempts:
        with pytest.raises(UserError, match="not of the allowed form"):
            validate(model, values, "the file")
    with pytest.raises(UserError):
        project.run_config(name, "td3_bc", 0)
    with pytest.raises(UserError):
        project.run_config("bandit-axes", f"td3_bc@bc_coefficient={name}", 0)


@pytest.mark.parametrize(
    "url",
    [
        "https://host/data/..",
        "https://host/data/.hidden",
        "https://host/",
        "https://host/data/a%2f..%2fb",
        "https://user:secret@host/data.hdf5",
        "https://host/data.hdf5?token=secret",
        "https://host/data.hdf5#secret",
        "file:///etc/data.hdf5",
        "ftp://host/data.hdf5",
        "https://host/a b/data.hdf5",
    ],
)
def test_urls_that_could_leave_their_folder_or_hold_a_secret_are_refused(url):
    task = load_project(scale="smoke").task("hopper-medium-v2").model_dump()
    changed = task | {"dataset": task["dataset"] | {"url": url}}
    with pytest.raises(UserError, match="not of the allowed form") as refused:
        fill_tasks(TasksFile(tasks={"a": changed}))
    assert "secret" not in str(refused.value)


class Redirect(Handler):
    """Sends the client elsewhere, then names a file outside its folder."""

    def do_GET(self):  # noqa: N802
        self.send_response(302 if self.path == "/files/data.hdf5" else 200)
        self.send_header("Location", "/../../outside.hdf5?token=secret")
        self.send_header("Content-Disposition", "attachment; filename=/../../outside")
        self.send_header("ETag", "../../outside")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"evil")


def test_a_server_cannot_choose_where_a_download_goes(tmp_path, monkeypatch, caplog):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    server.RequestHandlerClass = Redirect
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    folder = tmp_path / "a" / "b" / "downloads"
    with caplog.at_level("DEBUG"), pytest.raises(UserError) as refused:
        download.download(server.url, folder / "data.hdf5", sha256="0" * 64)
    server.shutdown()
    server.server_close()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written and all(path.parent == folder for path in written)
    assert "secret" not in caplog.text + str(refused.value)
    assert not any(b"secret" in path.read_bytes() for path in written)


@pytest.mark.parametrize("name", ["..", "../up", "a/b", "/tmp", ""])
def test_kept_results_stay_in_their_folder(name, tmp_path):
    with pytest.raises(UserError, match="no name of a folder"):
        keep(name, root=tmp_path, kept=tmp_path / "kept")


def test_secrets_of_the_environment_stay_there(tmp_path, monkeypatch, caplog, capfd):
    secret = "hunter2-c0ffee"
    for name in ("AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY", "GITHUB_TOKEN", "PASSWORD"):
        monkeypatch.setenv(name, secret)
    monkeypatch.setenv("https_proxy", f"http://user:{secret}@127.0.0.1:9")
    with caplog.at_level("DEBUG"):
        configs = crashes.make_configs(seeds=(0,))
        train(configs, crashes.folders(tmp_path, configs))
        with pytest.raises(download.UnreachableError) as refused:
            download.download("https://host.invalid/data.hdf5", tmp_path / "data.hdf5")
    printed = capfd.readouterr()
    for text in (caplog.text, printed.out, printed.err, str(refused.value)):
        assert secret not in text
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 4
    assert not any(secret.encode() in path.read_bytes() for path in written)


def test_git_holds_no_secret():
    """What looks like a key or a token is in no tracked text."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    key = re.compile(rb"AKIA[0-9A-Z]{16}|ghp_\w{36}|-----BEGIN [A-Z ]*PRIVATE KEY")
    for name in listed.stdout.decode().splitlines():
        path = ROOT / name
        if path.is_file() and path != Path(__file__):
            assert not key.search(path.read_bytes()), name
