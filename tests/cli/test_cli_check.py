"""A wrong command line is one clear line, and a right one is accepted."""

import pytest

WRONG = [
    # a group, an option, a mount
    ("backbne=resnet18", "backbne", "did you mean backbone"),
    ("+backbne=x", "backbne", "did you mean backbone"),
    ("backbne@source=printed", "backbne", "did you mean backbone"),
    ("data@taget=digits", "data@taget", "did you mean data@target=digits"),
    ("data=digits", "data@source, data@target", "try: data@target=digits"),
    ("data@source=prnted", "data@source has no option prnted", "did you mean data@source=printed"),
    (
        "mode=graduall",
        "adapters, bias_only, feature_extraction, fine_tuning, gradual, lora, multi_task, norm_only, scratch",
        "did you mean mode=gradual",
    ),
    ("mode=[scratch,graduall]", "graduall", "did you mean mode=gradual"),
    ("experiment=digits_with_hed", "digits_with_head", "did you mean"),
    ("+mode=gradual", "drop the +", "mode=gradual"),
    ("+experiment=digits_with_head", "drop the +", "experiment=digits_with_head"),
    ("experiment=null", "got null", "~experiment"),
    ("+data@evaluate.data=printed", "data@evaluate.data has an option already", "data@evaluate.data=printed"),
    ("~debg", "debg", "did you mean debug"),
    # a group of ours where nothing reads it
    (
        "+tta=flip",
        "used as task=predict tta@predict.tta, task=evaluate",
        "try: task=evaluate tta@evaluate.tta=flip",
    ),
    ("tta=flip", "used as task=predict tta@predict.tta, task=evaluate", "try: task=evaluate tta@evaluate.tta=flip"),
    ("+augment=flip", "used as augment@source.augment, augment@target", "try: augment@target.augment=flip"),
    ("++mix=mixup", "the group mix is used as mix@module.mix", "try: mix@module.mix=mixup"),
    ("+data=mnist", "used as data@source, data@target, got +data=mnist", "try: data@target=mnist"),
    ("~optimizer.lrr", "lrr", "did you mean optimizer.lr"),
    # a key
    ("optimizer.lrr=1", "optimizer (torch.optim.AdamW) has no lrr", "did you mean optimizer.lr?"),
    ("+optimizer.lrr=1", "optimizer (torch.optim.AdamW) has no lrr", "did you mean optimizer.lr?"),
    ("++optimizer.lrr=1", "optimizer (torch.optim.AdamW) has no lrr", "did you mean optimizer.lr?"),
    ("taget.shots=5", "there is no taget", "did you mean target"),
    ("sede=1", "there is no sede", "did you mean seed"),
    ("optimizer.amsgrad=true", "torch.optim.AdamW takes it", "+optimizer.amsgrad=true"),
    ("+optimizer.lr=1", "is there already", "drop the +: optimizer.lr=1"),
    ("module.loss._target_=torch.nn.L1Loss", "without keys of its own", "try: +module.loss._target_=torch.nn.L1Loss"),
    ("trainer.devices.x=3", "trainer.devices", "without keys"),
    (
        "+callbacks.chekpoint.monitor=x",
        "callbacks.chekpoint needs a _target_",
        "did you mean callbacks.checkpoint",
    ),
    (
        "+callbacks.mine={_target_: no_such_module.Mine}",
        "callbacks.mine._target_",
        "there is no no_such_module",
    ),
    ("+callbacks.mine={_target_: headstart.types.Bach}", "there is no headstart.types.Bach", "spelt"),
    ("hydra.run.dirr=x", "hydra.run.dirr", "dirr"),
    # a type, a range, a choice
    ("optimizer.lr=abc", "optimizer.lr must be a number, got abc", "optimizer.lr=0.002"),
    ("optimizer.lr='1'", "optimizer.lr must be a number, got 1", "optimizer.lr=0.002"),
    ("optimizer.lr=true", "optimizer.lr must be a number, got true", "torch.optim.AdamW"),
    ("seed=x", "seed must be a whole number", "got x"),
    ("seed=-1", "at least 0", "got -1"),
    ("seed=4294967296", "below 4294967296", "got 4294967296"),
    ("seed=true", "seed must be a whole number", "got true"),
    ("rerun=1", "rerun must be true or false", "got 1"),
    ("trainer.max_epochs=2.5", "trainer.max_epochs must be a whole number or null", "got 2.5"),
    ("scheduler.T_max=1.5", "scheduler.T_max must be a whole number", "got 1.5"),
    ("trainer.max_epochs=0.5", "trainer.max_epochs must be a whole number or null", "got 0.5"),
    ("unfreeze.first_epoch=often", "unfreeze.first_epoch must be a whole number", "got often"),
    ("target.shots=0", "target.shots must be a whole number", "got 0"),
    ("module.label_smoothing=2", "module.label_smoothing must be a number", "got 2"),
    ("head.init=randm", "random", "did you mean head.init=random"),
    ("source.characters=letter", "letters, digits", "did you mean source.characters=letters"),
    ("trainer.deterministic=wran", "warn", "did you mean trainer.deterministic=warn"),
    ("target=x", "target must be a mapping", "target.<key>"),
    ("weights.optimizer.lr=x", "weights.optimizer.lr must be a number", "got x"),
    ("target.fold=${trainer}", "target.fold must be a whole number", "got an object of pytorch_lightning.Trainer"),
    ("optimizer.lr={_target_: torch.nn.ReLU}", "optimizer.lr must be a number", "got an object of torch.nn.ReLU"),
    ("task={a: {b: 1}}", "task must be text", "got {'a': {'b': 1}}"),
    ("~target._target_", "target._target_ cannot be left out, as it says what target is", "target=null"),
    ("~optimizer._partial_", "optimizer._partial_ cannot be left out", "optimizer=null"),
    ("++optimizer._partial_=--1", "optimizer._partial_ must be true or false", "got --1"),
    ("+optimizer._args_=3", "optimizer._args_ must be a list", "got 3"),
    ("hydra/env=-1", "cannot take hydra/env=-1", "must be a string or a list"),
    ("optimizer.lr=${no.such}", "optimizer.lr refers to a key that is not there", "no.such"),
    # a number that nothing can compute with
    ("optimizer.lr=nan", "optimizer.lr must be a finite number, got nan", "the default is optimizer.lr=0.002"),
    ("optimizer.lr=inf", "optimizer.lr must be a finite number, got inf", "optimizer.lr=0.002"),
    ("optimizer.lr=1e400", "optimizer.lr must be a finite number, got inf", "optimizer.lr=0.002"),
    ("weights.optimizer.lr=inf", "weights.optimizer.lr must be a finite number", "got inf"),
    ("scheduler.eta_min=nan", "scheduler.eta_min must be a finite number, got nan", "scheduler.eta_min=0.0"),
    ("+optimizer.betas=[0.9,nan]", "optimizer.betas[1] must be a finite number", "got nan"),
    ("feature_cache.max_gib=inf", "feature_cache.max_gib must be a finite number", "got inf"),
    ("trainer.max_epochs=100000000000000000000", "at most 64 bits", "trainer.max_epochs=30"),
    # out of the range that a third-party class has and does not say
    ("optimizer.lr=-1", "optimizer.lr must be a number at least 0, got -1", "torch.optim.AdamW"),
    ("optimizer.weight_decay=1e9", "optimizer.weight_decay must be a number from 0 to 10", "got 1000000000.0"),
    ("weights.optimizer.weight_decay=-1", "weights.optimizer.weight_decay must be a number from 0 to 10", "got -1"),
    ("+optimizer.betas=[0.9,1.0]", "a number at least 0 and below 1", "got [0.9, 1.0]"),
    ("scheduler.eta_min=-1", "scheduler.eta_min must be a number at least 0", "CosineAnnealingLR"),
    ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val must be a number at least 0 or null", "got -1"),
    ("trainer.max_epochs=0", "trainer.max_epochs must be a whole number at least 1, -1 or null", "got 0"),
    ("+trainer.max_steps=0", "trainer.max_steps must be a whole number at least 1 or -1", "got 0"),
    ("trainer.limit_train_batches=0", "trainer.limit_train_batches must be", "got 0"),
    (
        "trainer.limit_val_batches=0",
        "trainer.limit_val_batches must be",
        "a run without validation is target.val_shots",
    ),
    ("trainer.num_sanity_val_steps=2", "trainer.num_sanity_val_steps must be 0", "before the first step"),
    ("+trainer.fast_dev_run=true", "trainer.fast_dev_run must be false", "debug=fast"),
    ("trainer.devices=0", "trainer.devices must be a whole number at least 1, -1", "got 0"),
    ("trainer.log_every_n_steps=0", "trainer.log_every_n_steps must be a whole number at least 1", "got 0"),
    ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches must be a whole number at least 1", "got 0"),
    ("trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch must be a whole number at", "got 0"),
    ("+trainer.val_check_interval=1.5", "trainer.val_check_interval must be", "got 1.5"),
    # sizes that no machine has
    ("target.num_workers=1000000", "target.num_workers must be a whole number from 0 to 512", "got 1000000"),
    ("target.batch_size=1e9", "target.batch_size must be a whole number", "got 1000000000.0"),
    ("target.batch_size=1000000000", "target.batch_size must be a whole number from 1 to 65536", "got 1000000000"),
    ("backbone.width=1000000", "backbone.width must be a number above 0 and at most 2048", "got 1000000"),
    # what cannot be left out
    ("~backbone", "backbone cannot be left out, as every run has one", "got ~backbone"),
    ("optimizer._partial_=false", "optimizer._partial_ must be true", "got false"),
    ("++head._partial_=true", "head._partial_ must be false", "got true"),
    ("~task", "task cannot be left out", "got ~task"),
    ("~seed", "seed cannot be left out", "got ~seed"),
    ("~target.batch_size", "target.batch_size cannot be left out", "Digits has no value of its own"),
    ("logger=null", "logger takes comet, csv, mlflow, tensorboard, wandb, got null", "every run has one"),
    # not an override
    ("report", "key=value", "did you mean task=report"),
    ("repor", "key=value", "did you mean task=report"),
    ("nonsense", "key=value", "headstart --help"),
    ("", "overrides are written key=value, got ''", "is it a shell variable that is not set?"),
    ("=1", "got =1, which has no key", "headstart --help"),
    ("@x=1", "got @x=1, which has no key", "headstart --help"),
    # what a terminal would obey
    ("optimizer.lr=a\n\x1b[31mb", "got a\\n\\x1b[31mb", "optimizer.lr=0.002"),
    ("taget.shots=\u202e5", "there is no taget", "did you mean target"),
    ("--multirn", "there is no flag --multirn", "did you mean --multirun"),
    ("--help=x", "--help takes no value", "--help"),
    ("mode=scratch,gradual", "several values", "add -m"),
]


@pytest.mark.parametrize(("override", "said", "tried"), WRONG, ids=[row[0] for row in WRONG])
def test_a_wrong_argument_is_one_line_that_says_what_to_try(real, override, said, tried):
    task = ["task=evaluate"] if "evaluate" in override else []
    code, out, err = real(override, *task)
    assert code == 2
    assert out == ""
    assert err.startswith("headstart: error: ")
    assert err.count("\n") == 1
    assert err.strip().isprintable()
    assert said in err
    assert tried in err


def test_a_group_that_is_left_out_beside_a_key_of_it_is_named(real):
    code, _, err = real("~backbone", "backbone.width=4")
    assert code == 2
    assert err.startswith("headstart: error: backbone cannot be left out, as every run has one, got ~backbone;")


def test_a_scheduler_within_another_one_is_completed_too(real):
    code, _, err = real("scheduler=warmup_cosine", "scheduler.schedulers.0._partial_=false")
    assert code == 2
    assert "scheduler.schedulers[0]._partial_ must be true" in err


@pytest.mark.parametrize(
    "override",
    [
        "+optimizer.amsgrad=true",
        "+trainer.overfit_batches=2",
        "+trainer.plugins=null",
        "optimizer.lr=1e-3",
        "optimizer.lr=1",
        "trainer.max_epochs=null",
        "trainer.precision=16-mixed",
        "trainer.limit_train_batches=2",
        "trainer.limit_test_batches=0",
        "trainer.max_epochs=-1",
        "trainer.devices=[0]",
        "trainer.gradient_clip_val=1",
        "+optimizer.betas=[0.9,0.99]",
        "optimizer.lr=0",
        "optimizer.lr=1e30",  # that it is too large, the run finds out
        "+optimizer.foreach=null",
        "~feature_cache",
        "+callbacks.mine={_target_: headstart.callbacks.learning_rates.rate_logging.Rates}",
        "~callbacks.figures",
        "~debug",
        "callbacks.figures=null",
        "scheduler=constant",
        "scheduler.T_max=0.5",  # half of the run
        "experiment=digits_with_head",
        "debug=fast",
        "optimizer.weight_decay=${optimizer.lr}",
        "optimizer.weight_decay=${oc.env:NO_SUCH_VARIABLE}",
        "task=evaluate",
        "study=demo",
        "hydra.verbose=true",
    ],
)
def test_a_right_override_is_accepted(real, override):
    code, _, err = real(override)
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["mode=scratch,graduall"], "graduall"),
        (["mode=choice(scratch,graduall)"], "graduall"),
        (["mode=glob(gradu*l,exclude=gradual)"], "goes through no value"),
        (["seed=0,-1"], "got -1"),
        (["seed=range(5,-2,-1)"], "got -1"),
        (["++hydra.sweeper=${no.such}", "seed=1,2"], "'no.such' not found full_key: hydra.sweeper"),
        (["seed=range(1,5,0)"], "seed=range(1,5,0) has a step of 0"),
        (["optimizer.lr=0.1,abc"], "got abc"),
        (["study=demo", "backbone=resnet19"], "did you mean backbone=resnet18"),
        (["study=demo", "seed=0,x"], "got x"),
        (["+backbne=x,y"], "did you mean backbone"),
        (["hydra.job.name=a,b"], "hydra.job.name"),
    ],
)
def test_each_value_of_a_sweep_is_checked_and_a_bad_one_leaves_nothing_behind(real, argv, said):
    code, _, err = real("-m", *argv)
    assert code == 2
    assert err.count("\n") == 1
    assert said in err


def test_the_parameters_of_a_study_are_checked_too(command):
    command.write("study/bad.yaml", "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {mode: 'a,c'}}}\n")
    assert command("study=bad") == 2
    assert "mode has no option c; it has a, b" in command.err
    assert command.made == []


def test_a_combination_without_a_config_leaves_nothing_behind(command):
    command.write("mode/b.yaml", "# @package _global_\nmode: b\nmodel: {_target_: stub_jobs.Model, depth: 0}\n")
    assert command("-m", "model=small,large", "mode=a,b") == 2
    assert "model.depth" in command.err
    assert command.made == []
