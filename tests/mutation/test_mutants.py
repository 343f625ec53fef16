"""Mutants are drawn by seed, differ from the code in what a test can see, and compile."""

import ast

import pytest

pytest.importorskip("cosmic_ray", reason="make mutation installs it")
mutants = pytest.importorskip("mutants")

CODE = '''"""A text with 1 and 2."""


def larger(first: int | None, *, second: int | None = None) -> bool:
    """Whether 1 > 2."""
    return first is not None and first > second + 1
'''


def test_the_same_seed_draws_the_same_mutants_of_what_a_test_can_see(tmp_path):
    (tmp_path / "code.py").write_text(CODE)
    drawn = mutants.draw([tmp_path / "code.py"], count=100, seed=3)
    assert drawn == mutants.draw([tmp_path / "code.py"], count=100, seed=3)
    assert drawn != mutants.draw([tmp_path / "code.py"], count=100, seed=4)
    assert {mutant.line for mutant in drawn} == {6}  # neither the texts nor the annotations
    for mutant in drawn:
        ast.parse(mutant.code)
        assert mutant.code.splitlines()[5] != CODE.splitlines()[5]
