"""The table of images that are there twice is there whole, or not at all, and no spreadsheet computes its names."""

import csv
from types import SimpleNamespace

from headstart.data.files.duplicate_files import Duplicate
from headstart.runs.folder.duplicate_table import write_duplicates
from headstart.system.files.csv_cells import uncelled


def test_each_file_is_a_row_and_names_are_found_again(tmp_path):
    pair = [Duplicate(3, "near", "train", "=1+1.png", "-ants", 0.0), Duplicate(3, "near", "val", "a.png", "-1", 1.25)]
    write_duplicates(SimpleNamespace(duplicates=pair), tmp_path)
    with (tmp_path / "duplicates.csv").open(newline="") as stream:
        first, second = csv.DictReader(stream)
    assert (first["file"], first["label"], first["split"], first["group"]) == ("'=1+1.png", "'-ants", "train", "3")
    assert (second["label"], second["difference"], second["kind"]) == ("-1", "1.25", "near")
    assert uncelled(first["file"]) == pair[0].file
    assert [path.name for path in tmp_path.iterdir()] == ["duplicates.csv"]


def test_without_a_pair_there_is_no_table_and_an_earlier_one_goes(tmp_path):
    (tmp_path / "duplicates.csv").write_text("of an earlier run")
    write_duplicates(SimpleNamespace(), tmp_path)
    assert not list(tmp_path.iterdir())
