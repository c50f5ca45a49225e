"""The console log of runs: Dagster's own, or JSON lines with the trace and the task (setting `log_format`)."""

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from dagster import DagsterInstance, InitLoggerContext, LoggerDefinition, colored_console_logger
from dagster._core.execution import context_creation_job

from core.logs import json_formatter
from core.settings import load_settings


def _about_the_run(_: object, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The message as it was logged, with the run and step that Dagster puts into its text."""
    record = fields.get("_record")
    meta = getattr(record, "dagster_meta", None)
    if isinstance(meta, dict):
        fields["event"] = str(meta.get("orig_message") or fields.get("event"))
        fields.update({name: meta[name] for name in ("run_id", "job_name", "step_key") if meta.get(name)})
    return fields


def _open(context: InitLoggerContext) -> logging.Logger:
    made = logging.Logger(str(context.logger_config["name"]))
    made.setLevel(str(context.logger_config["log_level"]).upper())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(json_formatter("penstock-run", _about_the_run))
    made.addHandler(handler)
    return made


console_log = LoggerDefinition(
    logger_fn=_open,
    config_schema=colored_console_logger.config_schema,
    description="What runs log, as JSON lines.",
)

Defaults = Callable[[DagsterInstance | None], Sequence[tuple[LoggerDefinition, Mapping[str, object]]]]


def use_for_runs() -> None:
    """Makes runs of this process log as the settings say. Dagster has no setting for the log of runs whose
    configuration names none; if its internals change, runs log text."""
    before: Defaults | None = getattr(context_creation_job, "default_system_loggers", None)
    if before is None or getattr(before, "__module__", None) == __name__:
        return

    def defaults(instance: DagsterInstance | None) -> Sequence[tuple[LoggerDefinition, Mapping[str, object]]]:
        settings = load_settings()
        if settings.log_format != "json":
            return before(instance)
        return [(console_log, {"name": "dagster", "log_level": settings.log_level.upper()})]

    setattr(context_creation_job, "default_system_loggers", defaults)  # noqa: B010  it exports no such name
