"""The console log of runs: Dagster's own, or JSON lines with the trace and the task (setting `log_format`)."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

from dagster import InitLoggerContext, LoggerDefinition, colored_console_logger

from core.logs import json_formatter
from core.settings import load_settings


def _about_the_run(_: object, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The message as it was logged, with the run and step that Dagster puts into its text."""
    record = fields.get("_record")
    meta = getattr(record, "dagster_meta", None)
    if isinstance(meta, dict):
        fields["event"] = str(meta.get("orig_message") or fields.get("event"))
        fields |= {name: meta[name] for name in ("run_id", "job_name", "step_key") if meta.get(name)}
    return fields


def _open(context: InitLoggerContext) -> logging.Logger:
    if load_settings().log_format != "json":
        return colored_console_logger.logger_fn(context)
    made = logging.Logger(str(context.logger_config["name"]))
    made.setLevel(str(context.logger_config["log_level"]).upper())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(json_formatter("penstock-run", _about_the_run))
    made.addHandler(handler)
    return made


console_log = LoggerDefinition(
    logger_fn=_open,
    config_schema=colored_console_logger.config_schema,
    description="What runs log, as text or as JSON lines.",
)
