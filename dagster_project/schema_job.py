"""`python -m dagster_project.schema_job`: brings Penstock's schema and Dagster's up to date, and ends.

The chart runs it before the pods of a new version start. Safe to repeat, and to run beside an old version: migrations
only add what the new one needs. Exit codes: 0 done, 1 not done; the message says why.
"""

import os
import sys
import time

import psycopg

from core.settings import Settings, SettingsError, load_settings

ATTEMPTS = 30
PAUSE_SECONDS = 2.0


def main() -> int:
    from core.database.schema import SchemaError
    from core.home_checks import UnusableHome
    from dagster_project.parts import StartFailed

    try:
        settings = load_settings()
        if settings.database_url is None:
            return _said("setting 'database_url' is unset: set PENSTOCK_DATABASE_URL or PENSTOCK_DATABASE_URL_FILE")
        _upgrade(settings)
    except (SettingsError, SchemaError, UnusableHome, StartFailed) as error:
        return _said(str(error))
    except psycopg.Error as error:
        return _said(f"the database cannot be reached: {str(error).splitlines()[0] if str(error) else 'no answer'}")
    print("schema: up to date", file=sys.stderr)  # noqa: T201
    return 0


def _upgrade(settings: Settings) -> None:
    """A database that is still starting is waited for."""
    from dagster_project import instance
    from dagster_project.dagster_tables import create, upgrade
    from dagster_project.runtime import open_runtime

    for attempt in range(ATTEMPTS):
        try:
            with open_runtime(settings) as runtime:
                instance.write(settings)
                environment = {**os.environ, **runtime.environment()}
                create(runtime, environment)
                upgrade(runtime, environment)
            return
        except psycopg.OperationalError:
            if attempt + 1 == ATTEMPTS:
                raise
            time.sleep(PAUSE_SECONDS)


def _said(text: str) -> int:
    print(f"schema: {text}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
