"""Images of a table are those that its rows name."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from composed import TINY
from data_conf import keywords
from headstart.cli import main
from headstart.cli.checking.callable_parameters import signature
from headstart.data.datasets.image_folder import ImageFolder
from headstart.types import UserError
from held_out_checks import check_val_shots_and_folds
from table_data import RGB, rows_of, table, written


def test_a_table_of_a_folder_is_that_folder(class_folders):
    root = class_folders()
    of_folder = ImageFolder(**keywords("image_folder") | {"root": str(root), "num_workers": 0}, pixels=RGB, seed=0)
    of_table = table(written(root, reversed(rows_of(root))))
    assert of_table.class_names == of_folder.class_names
    for split in of_folder.sizes:
        assert of_table.names(split) == of_folder.names(split)
        assert of_table.splits[split].label.tolist() == of_folder.splits[split].label.tolist()


def test_the_split_column_decides_and_valid_is_val(class_folders):
    root = class_folders()
    words = {"0": "Train", "1": "valid", "2": "test"}

    def split(file):
        return words[str(min(int(file.stem) // 4, 2))]

    data = table(written(root, rows_of(root, split), head="path,label,part"), split_column="part")
    assert data.sizes == {"train": 8, "val": 8, "test": 4}
    assert {name[-6:] for name in data.names("val")} == {"04.png", "05.png", "06.png", "07.png"}


def test_paths_are_relative_to_root_and_columns_are_called_as_the_settings_say(class_folders, tmp_path):
    root = class_folders()
    file = written(tmp_path, rows_of(root), head="file,species")
    data = table(file, root=str(root), path_column="file", label_column="species")
    assert sum(data.sizes.values()) == 20


def test_a_byte_order_mark_is_no_part_of_the_first_column(class_folders):
    root = class_folders()
    file = written(root, rows_of(root), head="\ufeffpath,label")
    assert table(file).class_names == ("ants", "bees")


def test_names_of_columns_may_have_spaces_around_them_and_lines_may_end_as_on_windows(class_folders):
    root = class_folders()
    (root / "photos.csv").write_bytes("\r\n".join(["path , label", *rows_of(root), ""]).encode())
    assert table(root / "photos.csv").class_names == ("ants", "bees")


@pytest.mark.parametrize(
    ("head", "row", "told"),
    [
        ("path;label", "ants/00.png;ants", "cells seem to be separated by semicolons: save it with commas"),
        ("path\tlabel", "ants/00.png\tants", "separated by tabs"),
        ("path,label,label", "ants/00.png,ants,bees", "must have each column once, it has two called label"),
        ("path,label", "ants/00.png,ants, red", r"2 cells, line 2 has 3; put a cell with a comma into quotes"),
        ("path,label", 'ants/00.png,"ants', r"no CSV file in UTF-8 \(unexpected end of data\)"),
    ],
)
def test_cells_that_would_be_lost_or_taken_for_others_are_an_error(class_folders, head, row, told):
    root = class_folders()
    with pytest.raises(UserError, match=told):
        table(written(root, [row, *rows_of(root)[1:]], head=head))


def test_words_that_stand_for_something_missing_elsewhere_are_names_of_classes(class_folders):
    root = class_folders()
    words = {"ants": ("NA", "01", "True"), "bees": ("None", "1", "nan")}
    rows = [f"{row.split(',')[0]},{words[row.split(',')[1]][number % 3]}" for number, row in enumerate(rows_of(root))]
    assert set(table(written(root, rows)).class_names) == {"NA", "01", "True", "None", "1", "nan"}


def test_all_faults_of_a_table_are_told_at_once(class_folders):
    root = class_folders()
    rows = ["ants/nowhere.png,ants", "new.png,", ",ants", *rows_of(root), "bees/02.png,ants"]
    message = (
        r"4 of 24 do not: row 1 lists ants/nowhere\.png, which is no file in .*; row 2 has no label; "
        r"row 3 has no path; .*lists bees/02\.png once more \(as ants, and as bees before\); mend"
    )
    with pytest.raises(UserError, match=message):
        table(written(root, rows))


def test_only_the_first_faults_are_listed(class_folders):
    root = class_folders()
    with pytest.raises(UserError, match=r"7 of 7 do not: row 1 .*row 5 .*; and 2 more; mend"):
        table(written(root, [f"{number}.png,ants" for number in range(7)]))


def test_an_unknown_split_word_is_named_with_the_known_ones(class_folders):
    root = class_folders()
    file = written(root, ["ants/00.png,ants,trian"], head="path,label,split")
    with pytest.raises(UserError, match="row 1 has the split 'trian', which is none of train, val, test"):
        table(file, split_column="split")


def test_a_class_that_val_alone_has_is_named(class_folders):
    root = class_folders()
    file = written(
        root,
        rows_of(root, lambda file: "val" if file.parent.name == "bees" else "train"),
        head="path,label,split",
    )
    with pytest.raises(UserError, match=r"train and val of .* must have the same classes; .*ants, bees"):
        table(file, split_column="split").setup("fit")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("image,label", "must have the columns path, label, got image, label without path; .*target.path_column"),
        ("", "without path, label"),
    ],
)
def test_a_column_that_is_not_there_is_named_beside_those_that_are(class_folders, head, message):
    with pytest.raises(UserError, match=message):
        table(written(class_folders(), [], head=head))


def test_a_table_that_is_not_there_or_is_empty_is_named(class_folders):
    root = class_folders()
    with pytest.raises(UserError, match=r"there is none at .*none\.csv"):
        table(root / "none.csv")
    with pytest.raises(UserError, match="must list images to train on, got 0 rows"):
        table(written(root, []))


def test_a_file_that_is_no_text_is_named(class_folders):
    root = class_folders()
    shutil.copy(root / "ants" / "00.png", root / "photos.csv")
    with pytest.raises(UserError, match=r"photos\.csv is no CSV file in UTF-8"):
        table(root / "photos.csv")


def test_parquet_without_pyarrow_says_what_to_install(class_folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    root = class_folders()
    (root / "photos.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"pip install 'headstart\[table\]', or save it as CSV"):
        table(root / "photos.parquet")


def test_a_parquet_table_is_the_csv_table(class_folders):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    root = class_folders()
    path, label = zip(*(row.split(",") for row in rows_of(root)), strict=True)
    parquet.write_table(pyarrow.table({"path": path, "label": label}), root / "photos.parquet")
    of_csv, of_parquet = table(written(root, rows_of(root))), table(root / "photos.parquet")
    assert {split: of_csv.names(split) for split in of_csv.sizes} == {
        split: of_parquet.names(split) for split in of_parquet.sizes
    }


def test_labels_of_parquet_may_be_numbers_and_categories_and_none_is_no_label(class_folders):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    root = class_folders()
    path, word = zip(*(row.split(",") for row in rows_of(root)), strict=True)
    number = [{"ants": 10, "bees": 9}[one] for one in word]
    category = pyarrow.array(word).dictionary_encode()
    held = {
        "path": path,
        "number": pyarrow.array(number, pyarrow.int16()),
        "kind": category,
        "image": [b"x"] * len(path),
    }
    parquet.write_table(pyarrow.table(held), root / "photos.parquet")
    assert table(root / "photos.parquet", label_column="number").class_names == ("10", "9")
    assert table(root / "photos.parquet", label_column="kind").class_names == ("ants", "bees")
    held["number"] = pyarrow.array([None, *number[1:]], pyarrow.int16())
    parquet.write_table(pyarrow.table(held), root / "photos.parquet")
    with pytest.raises(UserError, match="1 of 20 do not: row 1 has no label"):
        table(root / "photos.parquet", label_column="number")


def test_what_is_not_a_number_in_parquet_is_missing_and_a_list_is_no_label(class_folders):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    root = class_folders()
    path, word = zip(*(row.split(",") for row in rows_of(root)), strict=True)
    number = [float("nan"), *(float(one == "bees") for one in word[1:])]
    held = {"path": path, "number": pyarrow.array(number), "tags": [[one] for one in word]}
    parquet.write_table(pyarrow.table(held), root / "photos.parquet")
    with pytest.raises(UserError, match="1 of 20 do not: row 1 has no label"):
        table(root / "photos.parquet", label_column="number")
    for separator in (None, "|"):
        with pytest.raises(
            UserError, match=r"tags of .* must hold a word .*got a list in row 1; .*label_separator='\|'"
        ):
            table(root / "photos.parquet", label_column="tags", label_separator=separator)


def test_only_the_columns_that_are_asked_for_are_read(class_folders, monkeypatch):
    """Others may hold whole images."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    root = class_folders()
    path, label = zip(*(row.split(",") for row in rows_of(root)), strict=True)
    parquet.write_table(pyarrow.table({"path": path, "label": label, "image": [b"x"] * 20}), root / "photos.parquet")
    read, asked = parquet.read_table, []
    monkeypatch.setattr(parquet, "read_table", lambda *a, **k: (asked.append(k["columns"]), read(*a, **k))[1])
    table(root / "photos.parquet")
    assert asked == [["path", "label"]]


def test_a_parquet_table_without_the_column_or_that_is_none_is_named(class_folders):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    root = class_folders()
    parquet.write_table(pyarrow.table({"file": ["a"], "label": ["b"]}), root / "photos.parquet")
    with pytest.raises(UserError, match="must have the columns path, label, got file, label without path"):
        table(root / "photos.parquet")
    (root / "photos.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"photos\.parquet is no Parquet file that can be read"):
        table(root / "photos.parquet")


def test_the_command_line_trains_on_a_parquet_table(class_folders, tmp_path, monkeypatch):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    root = class_folders()
    path, label = zip(*(row.split(",") for row in rows_of(root)), strict=True)
    parquet.write_table(pyarrow.table({"path": path, "label": label}), root / "photos.parquet")
    monkeypatch.chdir(tmp_path)
    given = ["data@target=table", "target.table=photos/photos.parquet", *TINY, "trainer.max_epochs=1", "mode=scratch"]
    assert main(given) == 0
    result = json.loads(next(Path("outputs").rglob("result.json")).read_text())
    assert result["sizes"] == {"train": 12, "val": 4, "test": 4}


def test_the_yaml_is_the_call():
    read = signature("headstart.data.datasets.image_table.ImageTable")
    assert set(keywords("table")) == set(read.parameters) - {"pixels", "seed"}
    assert all(parameter.required for parameter in read.parameters.values())


def test_val_shots_and_folds_of_a_table_divide_the_images_that_are_not_for_the_test(class_folders):
    root = class_folders()
    file = written(root, rows_of(root))

    def made(**changes):
        return table(file, **changes)

    check_val_shots_and_folds(made)


def test_backslashes_are_slashes_where_such_a_file_is_there_and_are_named_where_not(class_folders):
    root = class_folders()
    rows = [row.replace("/", "\\") for row in rows_of(root)]
    data = table(written(root, rows))
    assert sorted(name for split in data.sizes for name in data.names(split)) == sorted(
        row.split(",")[0] for row in rows_of(root)
    )
    file = written(root, [*rows, r"C:\photos\ants\00.png,ants"])
    with pytest.raises(UserError, match=r"row 21 lists C:.*, which is no file in .*, and has backslashes"):
        table(file)


def test_an_apostrophe_that_keeps_a_spreadsheet_from_computing_is_no_part_of_a_name(class_folders):
    root = class_folders({"-ants": 10, "bees": 10})
    (root / "-ants" / "00.png").rename(root / "=00.png")
    rows = [row.replace(",-ants", ",'-ants") for row in rows_of(root)]
    rows = [row.replace("-ants/", "'-ants/") for row in rows if row[:1] != "="]
    data = table(written(root, [*rows, "'=00.png,bees"]))
    assert data.class_names == ("-ants", "bees")
    names = {name for split in data.sizes for name in data.names(split)}
    assert {"=00.png", "-ants/01.png"} < names
