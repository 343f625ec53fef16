"""The user's own YAML, sweeps and needed values, checked before anything runs."""

from headstart.cli import main


def test_a_misspelt_key_in_the_users_yaml_is_found(command, tmp_path):
    mine = tmp_path / "mine"
    (mine / "experiment").mkdir(parents=True)
    (mine / "experiment" / "wide.yaml").write_text("# @package _global_\nmodel: {dept: 3}\n")
    (mine / "experiment" / "top.yaml").write_text("# @package _global_\nmodle: {depth: 3}\n")
    assert command("--config-dir", str(mine), "experiment=wide") == 2
    assert "model (stub_jobs.Model) has no dept" in command.err
    assert "did you mean model.depth" in command.err
    assert command("--config-dir", str(mine), "experiment=top") == 2
    assert "did you mean model" in command.err


def test_broken_yaml_is_one_line_with_its_place(command):
    command.write("mode/b.yaml", "mode: [b\n")
    assert command("mode=b") == 2
    assert command.err.count("\n") == 1
    assert "b.yaml" in command.err


def test_a_value_of_the_users_own_that_others_refer_to_is_accepted(command):
    command.write("experiment/own.yaml", "# @package _global_\nbase: 3\nmodel: {depth: '${base}'}\n")
    assert command("experiment=own") == 0
    command.write("experiment/own.yaml", "# @package _global_\nbase: 3\n")
    assert command("experiment=own") == 2


def test_an_interpolation_is_checked_by_what_it_resolves_to(command):
    assert command("model.depth=${seed}", "seed=0") == 2
    assert "model.depth must be a whole number at least 1, got 0" in command.err
    assert command("model.depth=${seed}", "seed=2") == 0


def test_what_the_wiring_passes_need_not_stand_in_yaml(command):
    assert command() == 0  # Model needs pixels


def test_an_open_dict_takes_any_key_of_its_type(command):
    assert command("+model.table={a: 1}") == 0
    assert command("+model.table={a: x}") == 2


def test_a_value_that_is_needed_is_named_with_what_it_is(command):
    assert command("task=read") == 2
    line = "headstart: error: read.folder is needed: where to read; try: headstart task=read read.folder=..."
    assert command.err == line + "\n"
    assert command.made == []


def test_the_shipped_tasks_name_what_they_need(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["task=evaluate"]) == 2
    assert "evaluate.run_dir is needed: the folder of a finished run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_group_of_ones_own_is_found_in_the_config_dir(command, tmp_path):
    mine = tmp_path / "mine"
    (mine / "model").mkdir(parents=True)
    (mine / "model" / "mine.yaml").write_text("_target_: my_own_model.Mine\nwidth: 3\n")
    (command.folder / "my_own_model.py").write_text("class Mine:\n    def __init__(self, width: int): ...\n")
    assert command("--config-dir", str(mine), "model=mine") == 0
    assert command("--config-dir", str(mine), "model=mine", "model.width=x") == 2
    assert "model.width must be a whole number, got x (my_own_model.Mine)" in command.err
    assert command("--config-dir", str(mine), "model=mien") == 2
    assert "did you mean model=mine" in command.err


def test_in_a_mapping_from_names_to_objects_a_plain_value_is_none(real):
    code, _, err = real("callbacks=explain", "callbacks.explain.pictures.filters=@")
    assert code == 2
    assert "callbacks.explain.pictures must be a mapping from names to mappings with _target_, got {'filters'" in err
    assert real("callbacks=explain", "callbacks.explain.pictures.filters=null")[0] == 0


def test_a_data_set_of_a_task_is_a_mapping(real):
    for node in ("[a]", "[]", "[{root: x}]"):
        code, _, err = real("task=compare", f"compare.data={node}")
        assert (code, err.startswith("headstart: error: compare.data must be a mapping or null")) == (2, True), err
    assert real("task=compare", "compare.data=null")[0] == 0
    assert real("task=compare", "data@compare.data=printed")[0] == 0


def test_trace_shows_the_trace(real, monkeypatch):
    assert "Traceback" not in real("optimizer.lrr=1")[2]
    assert "Traceback" in real("optimizer.lrr=1", "--trace")[2]
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert "Traceback" in real("optimizer.lrr=1")[2]


def test_a_task_names_its_own_place_of_a_group(capsys):
    assert main(["--cfg", "job", "task=evaluate", "evaluate.run_dir=x", "+tta=flip"]) == 2
    assert capsys.readouterr().err.strip().endswith("got +tta=flip; try: tta@evaluate.tta=flip")


def test_of_a_key_that_is_given_twice_the_last_value_counts_and_one_line_says_so(capsys):
    # as the shell makes of seed={1,2} without quotes
    assert main(["--cfg", "job", "seed=1", "seed=2", "optimizer.lr=0.1", "optimizer.lr=0.1"]) == 0
    told = capsys.readouterr()
    assert "seed: 2\n" in told.out
    assert told.err == (
        "headstart: seed is given 2 times (seed=1, seed=2), and the last one counts; to run each: -m seed=1,2\n"
    )


def test_a_group_of_ones_own_may_be_added_at_the_top(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rates.yaml").write_text("high: 0.5\n")
    assert main(["--config-dir", str(tmp_path), "--cfg", "job", "+mine=rates", "optimizer.lr=${mine.high}"]) == 0
    assert "high: 0.5" in capsys.readouterr().out
