"""The `penstock` program: selects its own copy of the rooms, then runs the command line."""

from penstock import use_rooms


def main() -> None:
    use_rooms()
    from dagster_project.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
