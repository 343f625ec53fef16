"""Fixtures of the tests on data sets of Hugging Face."""

import pytest

from hugging_face_cases import rows


@pytest.fixture
def saved(tmp_path):
    rows().save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"
