"""The shipped YAML files as a package, for hydra.initialize_config_module("headstart.conf", version_base="1.3")."""
