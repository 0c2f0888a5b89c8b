"""Weights are found, checked and read as arrays: nothing else of a file is loaded."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dql.data import policy_weights, sources
from dql.data.download import UnreachableError
from dql.data.policy_weights import (
    arrays_digest,
    catalogue,
    load_weights,
    read_arrays,
    store_weights,
)
from dql.errors import UserError
from dql.files import file_sha256
from tests.support.synthetic_weights import entry, publish, snapshot

SHARED = Path(__file__).parents[3] / "shared" / "d4rl"


class Harmful:
    """What runs a command when it is unpickled carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(policy_weights.FOLDER_VARIABLE, raising=False)
    return snapshot()


def only(monkeypatch, listed):
    monkeypatch.setattr(policy_weights, "catalogue", lambda: {listed.name: listed})


def test_every_form_holds_the_same_arrays(arrays):
    np.savez("a.npz", **arrays, nonlinearity="relu")
    torch.save({k: torch.from_numpy(v) for k, v in arrays.items()}, "a.pth")
    slashed = {key.replace(".", "/"): value for key, value in arrays.items()}
    np.savez("b.npz", **slashed)
    files = [Path("a.npz"), Path("a.pth"), Path("b.npz")]
    digests = {arrays_digest(read_arrays(file)) for file in files}
    assert digests == {arrays_digest(arrays)}


@pytest.mark.parametrize("suffix", ["npz", "pth"])
def test_other_contents_are_refused_and_not_run(arrays, suffix):
    path, trace = Path(f"a.{suffix}"), Path("trace")
    harmful = Harmful(trace)
    if suffix == "npz":
        np.savez(path, weight=np.array([harmful], dtype=object))
    else:
        torch.save({"weight": harmful}, path)
    words = rf"a.{suffix} holds something else.*policies"
    with pytest.raises(UserError, match=words) as caught:
        read_arrays(path)
    assert not trace.exists()
    assert "allow_pickle" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["npz", "pth", "safetensors"])
def test_damaged_files_are_named(arrays, suffix):
    path = Path(f"a.{suffix}")
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match=f"a.{suffix}") as caught:
        read_arrays(path)
    assert "unsafely" not in str(caught.value)


def test_a_saved_list_is_no_set_of_arrays(arrays):
    torch.save([1, 2], "a.pth")
    with pytest.raises(UserError, match="a list, not named arrays"):
        read_arrays(Path("a.pth"))


def test_pickles_are_neither_fetched_nor_read(arrays, tmp_path, monkeypatch):
    only(monkeypatch, entry("p", "sac_policy", arrays, ".pkl"))
    Path("p.pkl").write_bytes(pickle.dumps({"weight": Harmful(Path("trace"))}))
    with pytest.raises(UserError, match=r"'p'.*a pickle.*run code.*npz.*--from"):
        store_weights("p", tmp_path)
    assert not Path("trace").exists()


def test_the_folder_comes_before_the_network(arrays, tmp_path, monkeypatch):
    publish(monkeypatch, tmp_path / "here" / "deep", {"p": ("sac_policy", arrays)})
    monkeypatch.delenv(policy_weights.FOLDER_VARIABLE)
    stored = store_weights("p", tmp_path / "here")
    assert stored == Path("results/policies/p.safetensors")
    assert arrays_digest(load_weights("p")) == arrays_digest(arrays)


def test_a_clone_of_the_publishers_repository_serves_too(arrays, tmp_path, monkeypatch):
    listed = entry("p", "sac_policy", arrays, ".pth")
    url = "http://127.0.0.1:9/owner/commit/models/kind/hopper.pth"
    only(monkeypatch, replace(listed, url=url))
    file = tmp_path / "clone" / "models" / "kind" / "hopper.pth"
    file.parent.mkdir(parents=True)
    torch.save({k: torch.from_numpy(v) for k, v in arrays.items()}, file)
    assert store_weights("p", tmp_path / "clone").is_file()


def test_another_file_of_the_same_name_is_refused(arrays, tmp_path, monkeypatch):
    listed = entry("p", "sac_policy", arrays, ".pth")
    only(monkeypatch, replace(listed, sha256="0" * 64))
    torch.save({k: torch.from_numpy(v) for k, v in arrays.items()}, "p.pth")
    found = file_sha256(Path("p.pth"))[:16]
    with pytest.raises(UserError, match=rf"p.pth is not.*{found}.*policies p"):
        store_weights("p", tmp_path)
    assert not listed.stored.exists()


def test_other_numbers_are_refused(arrays, tmp_path, monkeypatch):
    publish(monkeypatch, tmp_path, {"p": ("sac_policy", arrays)})
    np.savez("p.npz", **{**arrays, "fc0.bias": arrays["fc0.bias"] + 1})
    with pytest.raises(UserError, match=r"p.npz is not the published 'p'.*arrays"):
        store_weights("p")


def test_stored_arrays_that_changed_are_refused(arrays, tmp_path, monkeypatch):
    publish(monkeypatch, tmp_path, {"p": ("sac_policy", arrays)})
    stored = store_weights("p")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    with pytest.raises(UserError, match=r"p.safetensors is not the published"):
        load_weights("p")


def test_offline_the_way_out_is_named(arrays, monkeypatch):
    only(monkeypatch, entry("p", "sac_policy", arrays))

    def fail(*_, **__):
        raise UnreachableError("no route")

    monkeypatch.setattr(sources, "download", fail)
    remedy = r"(?s)'p'.*no route.*--from.*dql data generate local-"
    with pytest.raises(UserError, match=remedy):
        store_weights("p")


def test_weights_that_are_not_here_name_the_command(arrays, monkeypatch):
    only(monkeypatch, entry("p", "sac_policy", arrays))
    with pytest.raises(UserError, match="dql data policies p"):
        load_weights("p")


def test_a_folder_that_is_not_there_is_named(arrays, monkeypatch):
    only(monkeypatch, entry("p", "sac_policy", arrays))
    with pytest.raises(UserError, match="nowhere: no such folder"):
        store_weights("p", Path("nowhere"))


def test_unknown_policies_name_the_nearest():
    with pytest.raises(UserError, match="actions-hopper-medium-v2"):
        store_weights("actions-hopper-medum-v2")


def test_every_listed_file_is_pinned():
    for listed in catalogue().values():
        assert len(listed.arrays_sha256) == 64
        if not listed.url.endswith(".pkl"):  # those are not fetched
            assert len(listed.sha256) == 64
            assert "/b5ade4da6bd384e894bdc1255b24f92c0fec7bed/" in listed.url


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/d4rl")
@pytest.mark.parametrize("name", ["hopper_online_3", "pen_dapg_2", "ant_goal_policy"])
def test_published_arrays_have_the_listed_digest(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store_weights(name, SHARED)
    assert arrays_digest(load_weights(name)) == catalogue()[name].arrays_sha256
