"""All languages that are cut by their syntax trees, by name."""

from collections.abc import Callable, Mapping, Sequence

from assets.context.chunking.languages.c import C
from assets.context.chunking.languages.cpp import CPP, header_segments
from assets.context.chunking.languages.go import GO
from assets.context.chunking.languages.java import JAVA
from assets.context.chunking.languages.javascript import JAVASCRIPT
from assets.context.chunking.languages.ruby import RUBY
from assets.context.chunking.languages.rust import RUST
from assets.context.chunking.languages.typescript import TSX, TYPESCRIPT
from assets.context.chunking.segment import Segment

GRAMMARS: Mapping[str, Callable[[Sequence[str]], list[Segment] | None]] = {
    **{grammar.name: grammar.segments for grammar in (C, CPP, GO, JAVA, JAVASCRIPT, RUBY, RUST, TSX, TYPESCRIPT)},
    "c-header": header_segments,
}
