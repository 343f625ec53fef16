"""CONTRIBUTING, the changelog, the citation and the workflows name targets, files and versions that exist."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_paths_in_contributing_exist():
    named = set(re.findall(r"`((?:src|tests|conf|docs|examples)/[^`\s]*)`", text("CONTRIBUTING.md")))
    named |= set(re.findall(r"\]\(([^)#]+)\)", text("CONTRIBUTING.md")))
    whole = {path for path in named if "<" not in path}
    assert len(whole) > 10
    assert {path for path in whole if not (ROOT / path).exists()} == set()
    rooms = {path.partition("<")[0] for path in named if "<" in path}
    rooms -= {"src/headstart/", "conf/"}  # of several kinds at once
    assert {room for room in rooms if not (ROOT / room).parent.is_dir()} == set()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", "README.md"])
def test_the_make_targets_in_a_page_exist(name):
    assert set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", "\n".join(re.findall(r"`[^`]+`", text(name))))) <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_makes_targets_that_exist_on_pythons_that_the_package_takes(path):
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    project = tomllib.loads(text("pyproject.toml"))["project"]
    supported = {re.search(r"3\.\d+", line)[0] for line in project["classifiers"] if "Python :: 3." in line}
    for job in jobs.values():
        matrix = job.get("strategy", {}).get("matrix", {})
        assert set(matrix.get("python", [])) <= supported
        for line in (step["run"] for step in job["steps"] if "run" in step):
            lines = [line]
            for key, values in matrix.items():
                lines = [each.replace(f"${{{{ matrix.{key} }}}}", value) for each in lines for value in values]
            assert {each.split()[1] for each in lines} <= TARGETS


def test_all_pythons_that_the_package_takes_are_tried():
    jobs = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]
    project = tomllib.loads(text("pyproject.toml"))["project"]
    supported = [re.search(r"3\.\d+", line)[0] for line in project["classifiers"] if "Python :: 3." in line]
    assert jobs["check"]["strategy"]["matrix"]["python"] == supported


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load(text("CITATION.cff"))
    project = tomllib.loads(text("pyproject.toml"))["project"]
    assert (citation["title"], citation["version"], citation["license"]) == (
        project["name"], project["version"], project["license"],
    )  # fmt: skip


def test_the_changelog_has_one_section_of_what_is_not_released_first_and_the_usual_headings():
    versions = re.findall(r"^## (.*)$", text("CHANGELOG.md"), re.M)
    assert versions[0] == "[Unreleased]"
    assert versions.count("[Unreleased]") == 1
    headings = re.findall(r"^### (.*)$", text("CHANGELOG.md"), re.M)
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert len(headings) == len(set(headings)) or len(versions) > 1


def test_the_readmes_count_the_methods_of_adaptation_that_there_are():
    no_method = {"source_only", "source_task", "sum"}  # baselines, and what puts methods together
    methods = {path.stem for path in (ROOT / "conf" / "adaptation").glob("*.yaml")} - no_method
    assert f"({len(methods)} methods)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{len(methods)} 种方法" in (ROOT / "README.zh.md").read_text(encoding="utf-8")
