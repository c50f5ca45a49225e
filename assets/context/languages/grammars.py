"""Every language that is cut by its syntax tree, by name."""

from collections.abc import Callable, Mapping, Sequence

from assets.context.languages.c import C
from assets.context.languages.cpp import CPP, header_segments
from assets.context.languages.go import GO
from assets.context.languages.java import JAVA
from assets.context.languages.javascript import JAVASCRIPT
from assets.context.languages.ruby import RUBY
from assets.context.languages.rust import RUST
from assets.context.languages.typescript import TSX, TYPESCRIPT
from assets.context.segment import Segment

GRAMMARS: Mapping[str, Callable[[Sequence[str]], list[Segment] | None]] = {
    **{grammar.name: grammar.segments for grammar in (C, CPP, GO, JAVA, JAVASCRIPT, RUBY, RUST, TSX, TYPESCRIPT)},
    "c-header": header_segments,
}
