"""Each job of a sweep is composed once, and has the config of its own values."""

from hydra._internal.config_loader_impl import ConfigLoaderImpl

from headstart.cli import main


def test_a_sweep_s_jobs_are_composed_once_each(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    composed, compose = [], ConfigLoaderImpl.load_sweep_config

    def counting(self, master_config, sweep_overrides):
        composed.append(sweep_overrides)
        return compose(self, master_config, sweep_overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counting)
    assert main(["-m", "task=feature_cache", "feature_cache.max_gib=1,2,3"]) == 0
    jobs = [["task=feature_cache", f"feature_cache.max_gib={value}"] for value in (1, 2, 3)]
    assert composed in (jobs, [job[::-1] for job in jobs])
    shown = [line for line in capsys.readouterr().out.splitlines() if "GiB" in line]
    assert [line.split(" of ")[1] for line in shown] == ["1 GiB", "2 GiB", "3 GiB"]
