"""Files of the same bytes are found without reading all files, and told where they lie in two splits."""

import pytest

from headstart.data.decoding.image_file_summary import Header
from headstart.data.files.duplicate_files import checked_leakage, duplicates
from headstart.types import UserError


def test_only_files_of_the_same_size_and_header_are_hashed():
    same, other = Header(8, 8, "RGB", 90), Header(8, 8, "RGB", 91)
    headers = {"a": same, "b": other, "c": same, "d": same}
    asked = []

    def digest(names):
        asked.extend(names)
        return ["x" if name in "ac" else "y" for name in names]

    found = duplicates({"train": ["a", "b"], "val": ["c"], "test": ["d"]}, headers, digest)
    assert found == [[("train", "a"), ("val", "c")]]
    assert asked == ["a", "c", "d"]


def test_each_split_is_named_with_its_first_file_of_a_pair():
    group = [("train", "a"), ("train", "b"), ("val", "c"), ("test", "d")]
    with pytest.raises(UserError, match=r"2 images .*: a \(train\) = c \(val\), a \(train\) = d \(test\); .*=allow"):
        checked_leakage([group], leakage="error")
