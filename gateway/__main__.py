"""`python -m gateway`: serves the gateway on the settings' address until SIGTERM."""

import sys

from core.settings import SettingsError, load_settings

DATABASE_SECONDS = 2.0
"""How long a request waits for a connection before it is answered 503. GitHub gives up after ten."""


def main() -> int:
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201  logs are not set up yet
        return 2
    if settings.database_url is None:
        print(  # noqa: T201
            "gateway: setting 'database_url' is unset: `penstock up` starts the gateway together with the embedded "
            "database; to start it alone, set PENSTOCK_DATABASE_URL",
            file=sys.stderr,
        )
        return 2
    from core import tracing
    from core.credentials import CredentialsError
    from core.database import Database
    from core.logs import configure
    from gateway.app import create_app
    from gateway.server import Server
    from gateway.state import STREAM_THREADS, WORK_THREADS

    configure(settings.log_level, "penstock-gateway")
    database = Database(
        settings.database_url.get_secret_value(), max_size=WORK_THREADS + STREAM_THREADS, timeout=DATABASE_SECONDS
    )
    try:
        server = Server(create_app(settings, database), settings)
    except CredentialsError as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        server.run()
    finally:
        database.close()
        tracing.close()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
