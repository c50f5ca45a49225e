"""The subjects that evals can run, by their names on the command line.

`search:seconds=60` is the search engine with a budget of 60 seconds, `model:model=NAME` a chat model with its tools,
`hybrid` both with the chat model of the settings (or `model=NAME`),
`research:model=wordllama` answers questions over documents,
`retrieval:model=hashing` finds files with an embedding model, `given:seconds=120` puts given patches before the gate,
`scripted:skill=0.8` is a synthetic subject. A subject's dependencies are imported when it is opened.
"""

from collections.abc import Callable

from assets.evals.runs.subject import Subject, UnknownSubject


def _search(options: dict[str, str]) -> Subject:
    from dagster_project.subjects.repair import RepairSubject

    seconds, candidates = float(options.pop("seconds", "60")), int(options.pop("candidates", "20000"))
    operators = options.pop("operators", "")
    return RepairSubject(engine="search", seconds=seconds, candidates=candidates, operators=operators)


def _model(options: dict[str, str]) -> Subject:
    from dagster_project.subjects.model import ModelSubject

    if "model" not in options:
        raise UnknownSubject("name the chat model: model:model=NAME")
    steps = int(options.pop("steps")) if "steps" in options else None
    seconds, prompts = float(options.pop("seconds", "60")), options.pop("prompts", None)
    return ModelSubject(options.pop("model"), seconds=seconds, steps=steps, prompts=prompts)


def _hybrid(options: dict[str, str]) -> Subject:
    from dagster_project.subjects.model import HybridSubject

    steps, samples = (int(options.pop(name)) if name in options else None for name in ("steps", "samples"))
    seconds, prompts = float(options.pop("seconds", "60")), options.pop("prompts", None)
    return HybridSubject(options.pop("model", None), seconds=seconds, steps=steps, prompts=prompts, samples=samples)


def _scripted(options: dict[str, str]) -> Subject:
    from assets.evals.runs.scripted import Quality, ScriptedSubject

    name = options.pop("name", "scripted")
    known = Quality()
    given = {
        key: type(getattr(known, key))(options.pop(key)) for key in vars(known) if key in options
    }  # fmt: skip
    return ScriptedSubject(Quality(**given), name)


def _retrieval(options: dict[str, str]) -> Subject:
    from dagster_project.subjects.retrieval import RetrievalSubject

    return RetrievalSubject(options.pop("model", "wordllama"))


def _research(options: dict[str, str]) -> Subject:
    from dagster_project.subjects.research import ResearchSubject

    return ResearchSubject(options.pop("engine", "extractive"), options.pop("model", "wordllama"))


def _given(options: dict[str, str]) -> Subject:
    from dagster_project.subjects.gate import GateSubject

    return GateSubject(seconds=float(options.pop("seconds", "120")))


SUBJECTS: dict[str, Callable[[dict[str, str]], Subject]] = {
    "search": _search,
    "model": _model,
    "hybrid": _hybrid,
    "retrieval": _retrieval,
    "research": _research,
    "given": _given,
    "scripted": _scripted,
}


def open_subject(text: str) -> Subject:
    """Opens the subject `name` or `name:key=value,key=value`. Raises `UnknownSubject`."""
    name, _, rest = text.partition(":")
    if name not in SUBJECTS:
        raise UnknownSubject(f"{name!r} is not a subject; known: {', '.join(sorted(SUBJECTS))}")
    options: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key in options:
            raise UnknownSubject(f"{part!r}: write each option of a subject once, as key=value")
        options[key] = value
    try:
        subject = SUBJECTS[name](options)
    except (ValueError, TypeError) as error:
        raise UnknownSubject(f"{text!r}: {error}") from error
    if options:
        raise UnknownSubject(f"{text!r}: {name} has no option {', '.join(sorted(options))}")
    return subject
