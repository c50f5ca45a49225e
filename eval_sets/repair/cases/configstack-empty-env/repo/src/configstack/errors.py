class ConfigError(Exception):
    """A setting that cannot be used. `origin` says where it came from."""

    def __init__(self, key: str, problem: str, origin: str = "") -> None:
        where = f" (from {origin})" if origin else ""
        super().__init__(f"{key}: {problem}{where}")
        self.key = key
        self.origin = origin


class MissingKey(ConfigError, KeyError):
    """No layer has the key, and there is no default."""

    def __str__(self) -> str:
        return str(self.args[0])
