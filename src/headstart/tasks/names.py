from headstart.cli.names import config_hash, safe as safe_name
