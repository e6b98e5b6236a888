"""The configuration: TOML, `.env` and environment, merged and checked."""

from zoozl.config.loading import Config, extend_import_path, from_dict, load

__all__ = ["Config", "extend_import_path", "from_dict", "load"]
