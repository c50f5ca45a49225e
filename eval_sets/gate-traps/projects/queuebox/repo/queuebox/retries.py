"""Running a job again when it fails."""


class Failed(Exception):
    """A job that failed as often as it may."""


def delays(tries, first=1.0, factor=2.0, most=60.0):
    """Seconds before each further try: growing by `factor`, but at most `most`."""
    found = []
    wait = first
    for _ in range(tries - 1):
        found.append(min(wait, most))
        wait *= factor
    return found


def run(job, tries=3, pause=lambda seconds: None):
    """The job's result. It is run up to `tries` times; after the last, `Failed` is raised from its error."""
    waits = [*delays(tries), None]
    for wait in waits:
        try:
            return job()
        except Exception as error:
            if wait is None:
                raise Failed(f"{tries} tries") from error
            pause(wait)


def partition(jobs):
    """Runs each job once. Returns results by name, and errors by name."""
    results, errors = {}, {}
    for name, job in jobs.items():
        try:
            results[name] = job()
        except Exception as error:
            errors[name] = error
    return results, errors
