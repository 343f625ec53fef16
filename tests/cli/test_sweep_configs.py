"""Jobs of a sweep are composed once for all that choose the same options, and have the configs of their own values."""

from hydra._internal.config_loader_impl import ConfigLoaderImpl

from headstart.cli import main


def test_a_sweep_s_jobs_that_differ_in_values_are_composed_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    composed, compose = [], ConfigLoaderImpl.load_sweep_config

    def counting(self, master_config, sweep_overrides):
        composed.append(sweep_overrides)
        return compose(self, master_config, sweep_overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counting)
    assert main(["-m", "task=feature_cache", "feature_cache.max_gib=1,2,3"]) == 0
    assert composed == [["task=feature_cache"]]
    shown = [line for line in capsys.readouterr().out.splitlines() if "GiB" in line]
    assert [line.split(" of ")[1] for line in shown] == ["1 GiB", "2 GiB", "3 GiB"]
