"""The config in a run's folder: another person's may do nothing but train headstart's own parts in that folder."""

import json

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from composed import CONF
from headstart.cli import main
from headstart.runs.saved.config_signing import sign
from headstart.runs.saved.saved_config import saved_config
from headstart.runs.saved.saved_job import saved_job
from headstart.system.trust_flags import permitted
from headstart.types import UserError
from saved_config_cases import changed, written

pytestmark = pytest.mark.usefixtures("hydra_as_before")


def target(name, /, **arguments):
    return {"_target_": name, **arguments}


NOT_LISTED = [
    "builtins.eval",
    "builtins.__import__",
    "os.system",
    "subprocess.run",
    "torch.utils.collect_env.run",
    "sympy.sympify",
    "torch.load",
    "torch.hub.load",
    "torchvision.io.write_file",
    "torchvision.datasets.utils.download_url",
    "timm.models.load_checkpoint",
    "headstart.tasks.fit.Path.write_text",
    "headstart.system.rank_environment.os.system",
    "headstart.distributed.rank_launcher.subprocess.run",
    "headstart.cli.run_job.os._exit",
    "headstart.data.webdataset.shard_reading.import_module",
    "headstart.backbones.zoo.user_module._built",
    "headstart.backbones.weights.tensors.tensor_file.torch.load",
    "headstart.system.files.atomic_write.write_whole",
    "headstart.tasks.feature_cache.store",
    "headstart.tasks.export.export",
    "headstart.tasks.predict.predict",
    "pytorch_lightning.Trainer.from_argparse_args",
    "pytorch_lightning.callbacks.ModelCheckpoint",
    "pytorch_lightning.profilers.SimpleProfiler",
    "pytorch_lightning.loggers.WandbLogger",
    "pytorch_lightning.cli.LightningCLI",
    "torch.optim.adamw.torch.load",
    "hydra.utils.instantiate",
    "functools.partial",
    "a_module_of_a_stranger.Part",
    "",
    "torch.optim.AdamW ",
    "${optimizer._target_}",
    ["os.system"],
    None,
    7,
]


# where in a config -> what is put there
CHANGES = [
    *((("head", "_target_"), name) for name in NOT_LISTED),
    (("module", "mix"), target("os.system", command="true")),
    (("callbacks", "more"), target("os.system", command="true")),
    (("callbacks", "more", "inside"), [{"deep": target("os.system")}]),
    (("trainer", "plugins"), [target("subprocess.run", args=["true"])]),
    (("trainer", "profiler"), target("pytorch_lightning.profilers.SimpleProfiler", dirpath="/tmp", filename="x")),
    (("fit",), target("os.system", command="true")),
    (("anything",), target("os.system", command="true")),
    (("optimizer", "_args_"), [["x"]]),
    (("optimizer", "_partial_"), "${oc.decode:true}"),
    (("optimizer", "_convert_"), {"a": 1}),
    (
        ("backbone",),
        target("headstart.backbones.zoo.user_module.module", target="os.system", settings={"command": "true"}),
    ),
    (("backbone",), target("headstart.backbones.zoo.user_module.module", settings={})),
    (("mode",), "${oc.env:HOME}"),
    (("mode",), "${oc.env:HEADSTART_DATA,${oc.env:HOME}}"),
    (("mode",), "${oc.decode:'[1]'}"),
    (("mode",), "${oc.create:{_target_: os.system}}"),
    (("mode",), "${oc.${seed}:HOME}"),
    (("mode",), "$${control}{oc.env:HOME}"),  # resolved twice, it is another interpolation
    (("mode",), "${seed}${control}"),
    (("mode",), "${seed}{oc.env:HOME}"),
    (("mode",), "\\${oc.env:HOME}"),
    (("head",), "${hydra:launcher}"),
    (("head",), "${hydra:job_logging}"),
    (("mode",), "${a_resolver_of_somebody:x}"),
    (("target", "urls"), "pipe:touch /tmp/x"),
    (("target", "urls"), ["a.tar", "PIPE:touch /tmp/x"]),
    (("target", "urls"), "{http:,x}//host/a.tar"),
    (("target", "root"), "s3://bucket/photos"),
    (("weights", "path"), "https://host/weights.pth"),
    (("weights", "path"), "hf://org/name"),
    (("backbone", "name"), "hf-hub:org/name"),
    (("backbone", "name"), "local-dir:/tmp/model"),
    (("callbacks", "checkpoint", "folder"), "/tmp/elsewhere"),
    (("callbacks", "checkpoint", "folder"), "${run_dir}/../../elsewhere"),
    (("callbacks", "checkpoint", "folder"), "elsewhere"),
    (("callbacks", "checkpoint", "folder"), "~/elsewhere"),
    (("logger", "csv", "save_dir"), "/tmp/elsewhere"),
    (("logger", "csv", "name"), "../../elsewhere"),
    (("logger", "tensorboard", "version"), "../elsewhere"),
    (("logger", "tensorboard", "sub_dir"), "../elsewhere"),
    (("trainer", "default_root_dir"), "/tmp/elsewhere"),
    (("feature_cache", "folder"), "/tmp/elsewhere"),
    (
        ("target",),
        target(
            "headstart.data.datasets.torchvision_datasets.TorchvisionDataset",
            name="MNIST",
            root="/tmp/elsewhere",
            download=True,
        ),
    ),
]


@pytest.mark.parametrize(("place", "value"), CHANGES, ids=lambda one: str(one)[:60])
def test_another_person_s_config_is_refused_with_one_line_that_says_what_and_what_to_try(tmp_path, place, value):
    file = written(tmp_path / "run", changed(place, value))
    with pytest.raises(UserError, match="--trust") as refused:
        saved_config(file)
    assert len(str(refused.value).splitlines()) == 1
    assert str(file) in str(refused.value)
    assert place[0] in str(refused.value)
    with permitted(["--trust"]):
        assert saved_config(file)
    sign(file)
    assert saved_config(file)


@pytest.mark.parametrize("overrides", [
    ["mode=gradual"],
    ["mode=lora"],
    ["mode=fine_tuning", "optimizer=sgd", "scheduler=warmup_cosine", "mix@module.mix=mixup", "regularizer=l2_sp"],
    ["mode=scratch", "adaptation=cdan", "selection=infomax", "callbacks=ema", "logger=csv"],
    ["mode=scratch", "callbacks=explain", "recipe=bit", "backbone=resnet18", "augment@target.augment=affine"],
    ["mode=scratch", "data@target=mnist", "target.download=true", "trainer=ddp_cpu", "tuning=equal"],
    ["mode=scratch", "data@target=image_folder", "target.root=/data/photos", "unfreeze=sandwich"],
    ["experiment=mnist_to_usps", "mode=scratch"],
    ["mode=scratch", "optimizer._target_=torch.optim.NAdam"],
    ["mode=scratch", "+callbacks.more._target_=pytorch_lightning.callbacks.Timer"],
])  # fmt: skip
def test_what_headstart_ships_is_read_from_anybody(tmp_path, overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = OmegaConf.to_yaml(compose("config", overrides=[*overrides, "run_dir=/tmp/elsewhere"]))
    file = written(tmp_path / "run", config)
    assert saved_config(file)["run_dir"] == str(tmp_path / "run")  # never where a stranger says


def test_loggers_that_would_send_something_are_left_out_of_another_person_s_config_and_kept_in_one_s_own(tmp_path):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        several = ["logger=[tensorboard,wandb,mlflow,comet]", "logger.mlflow.tracking_uri=https://collector.org"]
        config = OmegaConf.to_yaml(compose("config", overrides=[*several, "run_dir=/tmp/elsewhere"]))
    file = written(tmp_path / "run", config)
    assert list(saved_config(file)["logger"]) == ["csv", "tensorboard"]
    sign(file)
    assert list(saved_config(file)["logger"]) == ["csv", "tensorboard", "wandb", "mlflow", "comet"]


def test_a_link_out_of_another_person_s_folder_would_write_elsewhere(tmp_path):
    file = written(tmp_path / "run", changed(("seed",), 3))
    (tmp_path / "run" / "checkpoints" / "also.ckpt").symlink_to("best.ckpt")
    (tmp_path / "link").symlink_to(tmp_path / "run")  # to the folder itself, as its owner may have made it
    assert saved_config(tmp_path / "link" / ".hydra" / "config.yaml")
    (tmp_path / "run" / "error.txt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"beside 'error\.txt', a link out of the run's folder"):
        saved_config(file)


@pytest.mark.parametrize(
    "text",
    ["a: !!python/object/apply:os.system [touch exploded]", "[1, 2]", "a: [", "\x00", "a: ${"],
)
def test_what_is_no_config_is_one_line(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path / "run", text)
    with pytest.raises(UserError) as refused:
        saved_config(file)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "exploded").exists()


def test_nothing_of_hydra_yaml_becomes_an_object(tmp_path):
    file = written(tmp_path / "run", changed(("seed",), 3))
    evil = target("os.system", command="touch exploded")
    loggers = {"version": 1, "formatters": {"a": {"()": "os.system", "command": "true"}}, "root": {"level": "INFO"}}
    (file.parent / "hydra.yaml").write_text(
        yaml.safe_dump(
            {
                "hydra": {
                    "launcher": evil,
                    "sweeper": evil,
                    "callbacks": {"evil": evil},
                    "job_logging": loggers,
                    "hydra_logging": loggers,
                    "job": {"name": "../../x", "num": 1, "env_set": evil, "id": "${oc.env:HOME}"},
                    "runtime": {
                        "cwd": "/",
                        "output_dir": "/tmp",
                        "choices": evil,
                        "config_sources": [{"path": str(tmp_path), "schema": "file", "provider": "main"}],
                    },
                    "overrides": {"task": ["seed=3", "a=${oc.env:HOME}"], "hydra": []},
                    "searchpath": [f"file://{tmp_path}"],
                }
            }
        )
    )
    (tmp_path / "names.yaml").write_text("_target_: os.system\n")
    assert saved_job(tmp_path / "run").seed == 3
    read = OmegaConf.to_container(HydraConfig.get(), resolve=False)
    assert "os.system" not in json.dumps(read, default=str)
    assert read["job"]["name"] == "headstart"
    assert read["runtime"]["output_dir"] == str(tmp_path / "run")
    assert read["job_logging"]["root"] == {"level": "INFO", "handlers": ["console", "file"]}
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text(yaml.safe_dump(changed(("fit",), evil)))
    with pytest.raises(UserError, match="--trust"):  # nor does it say which folders are the user's
        saved_job(tmp_path / "run")


@pytest.mark.parametrize(
    "bad", ["[]", "hydra: 1", "{", "hydra: {mode: NO}", "hydra: {job: 3}", "hydra: {runtime: {cwd: [1]}}"]
)
def test_a_damaged_hydra_yaml_is_one_line(tmp_path, bad):
    file = written(tmp_path / "run", changed(("seed",), 3))
    (file.parent / "hydra.yaml").write_text(bad)
    with pytest.raises(UserError, match=r"hydra\.yaml") as refused:
        saved_job(tmp_path / "run")
    assert len(str(refused.value).splitlines()) == 1


COMMANDS = [
    ["task=evaluate", "evaluate.run_dir=run"],
    ["task=predict", "predict.run_dir=run", "predict.images=."],
    ["task=explain", "explain.run_dir=run"],
    ["task=export", "export.run_dir=run"],
    ["task=embed", "embed.run_dir=run"],
    ["task=probe", "probe.run_dir=run"],
    ["resume=run"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_each_command_that_reads_a_run_s_folder_refuses_before_anything_happens(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "run", changed(("optimizer",), target("os.system", command=f"touch {tmp_path}/exploded")))
    assert main(command) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert "names 'os.system' as optimizer._target_" in line
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("storage", ["elsewhere/trials.journal", "sqlite:///elsewhere.db"])
def test_another_persons_run_of_a_search_writes_to_no_journal(tmp_path, storage):
    """It can be looked at and gone on with; what its search would hear of it is left out."""
    trial = {"storage": storage, "study": "outputs/pilot", "number": 3}
    file = written(tmp_path / "run", changed(("trial",), trial))
    assert saved_config(file)["trial"] is None
    sign(file)
    assert saved_config(file)["trial"] == trial
