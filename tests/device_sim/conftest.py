"""Runs of the scenario that several modules look at; played once."""

from importlib import resources

import pytest

from device_sim.library import load_scenario
from device_sim.play import Run, play


@pytest.fixture(scope="session")
def dairy_text() -> str:
    return (resources.files("device_sim") / "scenarios" / "dairy.toml").read_text()


@pytest.fixture(scope="session")
def dairy_run() -> Run:
    return play(load_scenario("dairy"), 1)
