"""Versions and machine: what a result was made with."""

from dql.results.provenance import machine, versions


def test_versions_and_machine_are_known():
    assert {"python", "torch", "mujoco", "numpy"} <= versions().keys()
    assert machine()["num_cpus"] >= 1
