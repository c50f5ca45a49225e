"""The words and patterns by which statements are compared. Data, with no logic."""

import re

from assets.research.text.words import term_of

CONTRASTS = [
    frozenset(map(term_of, group.split()))
    for group in (
        "minimum maximum average mean median total peak",
        "long wide deep high thick heavy", "length width depth height thickness weight", "born died", "train bus car boat plane foot",
        "hourly daily weekly monthly quarterly annual yearly annually",
        "first second third fourth fifth final last",
        "north south east west northern southern eastern western",
        "summer winter spring autumn",
        "upper lower", "read write", "import export", "inbound outbound", "before after", "old new", "small large",
        "front rear", "left right", "day night", "weekday weekend weekends weekdays", "adult child children adults",
        "planned actual estimated expected projected forecast target", "empty loaded laden full", "free paid pro basic standard premium enterprise team",
        "wind solar hydro nuclear", "gross net", "hot cold", "warm cool", "morning afternoon evening", "public private",
        "test production staging development", "internal external", "single double", "men women", "primary secondary",
        "january february march april may june july august september october november december",
        "monday tuesday wednesday thursday friday saturday sunday",
        "residential commercial industrial", "ground air", "indoor outdoor", "request response", "connect read idle",
    )
]  # fmt: skip
ANTONYMS = {
    frozenset(map(term_of, pair.split("/")))
    for pair in [
        "enabled/disabled",
        "enable/disable",
        "allowed/forbidden",
        "allow/forbid",
        "allow/deny",
        "allowed/prohibited",
        "permitted/prohibited",
        "permitted/forbidden",
        "permitted/banned",
        "allowed/banned",
        "increase/decrease",
        "increased/decreased",
        "rose/fell",
        "rise/fall",
        "grew/shrank",
        "safe/unsafe",
        "safe/dangerous",
        "open/closed",
        "opened/closed",
        "optional/mandatory",
        "optional/required",
        "voluntary/mandatory",
        "voluntary/compulsory",
        "optional/compulsory",
        "succeeded/failed",
        "success/failure",
        "passed/failed",
        "accepted/rejected",
        "approved/rejected",
        "public/private",
        "encrypted/unencrypted",
        "supported/unsupported",
        "present/absent",
        "complete/incomplete",
        "synchronous/asynchronous",
        "stable/unstable",
        "effective/ineffective",
        "reversible/irreversible",
        "improved/worsened",
        "faster/slower",
        "higher/lower",
        "cheaper/dearer",
        "won/lost",
        "included/excluded",
        "includes/excludes",
        "legal/illegal",
        "automatic/manual",
        "automatically/manually",
        "waterproof/leaky",
        "edible/poisonous",
        "edible/toxic",
        "harmless/harmful",
        "harmless/toxic",
        "profitable/unprofitable",
        "available/unavailable",
        "always/never",
        "free/paid",
    ]
}
CLAUSE = re.compile(
    r"[,;:()–—]\s+|\s(?=(?:and|which|who|whose|before|after|then|because|while|but|although|though|when|if|since)\s)"
)
PUNCTUATION = re.compile(r"[,;:()–—]\s+|\s(?=(?:and|but)\s)")
MEASURES = [
    (term_of(a), term_of(b))
    for a, b in (
        ("high", "height"),
        ("long", "length"),
        ("wide", "width"),
        ("deep", "depth"),
        ("heavy", "weight"),
        ("thick", "thickness"),
    )
]
LABEL = re.compile(
    r"\b(version|phase|stage|chapter|level|type|ward|incident|ticket|issue|number|no\.|route|line|figure|table|"
    r"section|step|grade|"
    r"class|model|article|appendix|unit|group|room|gate|release|series|category|tier|zone|platform|floor|track|lot|"
    r"v)\s?#?(\d[\w.]*)",
    re.IGNORECASE,
)
OTHER_ONE = frozenset(
    map(
        term_of,
        [
            "old",
            "former",
            "previous",
            "earlier",
            "another",
            "second",
            "new",
            "later",
            "other",
            "former",
            "alternative",
            "replacement",
            "predecessor",
            "successor",
        ],
    )
)
"""Words that tell one of a kind from another: a sentence that has one may speak of something else."""
GENERIC = frozenset(
    map(
        term_of,
        [
            "guide",
            "manual",
            "report",
            "handbook",
            "notes",
            "rules",
            "policy",
            "letter",
            "overview",
            "introduction",
            "reference",
            "history",
            "leaflet",
            "faq",
            "questions",
            "answers",
            "readme",
            "changelog",
            "memo",
            "page",
            "article",
            "blog",
            "wiki",
            "documentation",
            "specification",
            "design",
            "operations",
            "security",
            "summary",
            "page",
            "sheet",
            "product",
            "press",
            "release",
            "brochure",
            "annual",
            "plan",
            "minutes",
            "newsletter",
            "website",
            "portrait",
            "about",
        ],
    )
)
BEGINS = re.compile(
    r"\b(?:from|since|until|as of|starting|before|after|effective|by)\s+(?:the\s+)?(?:\d{1,2}\s+)?"
    r"(?:(?:january|february|march|april|may|june|july|august|september|october|november|december)\b|(?:19|20)\d\d\b)",
    re.IGNORECASE,
)
RECURS = re.compile(
    r"\b(?:takes? place|is held|are held|will|scheduled|planned|every year|annual(?:ly)?|each year)\b", re.IGNORECASE
)
ROLE = {
    term_of(word): role
    for role, spelled in {
        "design": "architect designer designed drew drawn", "found": "founder founded founding", "write": "author writer wrote written authored",
        "lead": "leader head headed led captain chief", "direct": "director directed", "own": "owner owned", "invent": "inventor invented",
        "compose": "composer composed", "build": "builder built", "maintain": "maintainer maintained", "discover": "discoverer discovered",
        "base": "headquarters headquartered based located situated", "paint": "painter painted", "develop": "developer developed",
        "engineer": "engineer", "operate": "operator operated", "supply": "supplier supplied", "make": "manufacturer manufactured maker made",
    }.items()
    for word in spelled.split()
}  # fmt: skip
ACTIVE = re.compile(
    r"\b((?:[A-Z][\w’'-]+\s){1,3})(?:who\s)?(founded|designed|wrote|composed|invented|built|discovered|led|directed|"
    r"painted|bred|developed|"
    r"owned|headed|drew|proposed|created|commissioned|funded|operated|manufactured)\b"
)
APPROXIMATE = re.compile(
    r"\b(?:about|around|approximately|roughly|nearly|almost|some|circa|ca\.?|approx\.?|close to|over|just under|an "
    r"estimated)\s*[$€£]?$",
    re.I,
)
AT_LEAST = re.compile(
    r"\b(?:at least|more than|over|above|no fewer than|no less than|minimum of|exceed\w*|from)\s*[$€£]?$", re.I
)
AT_MOST = re.compile(
    r"\b(?:at most|up to|less than|fewer than|under|below|no more than|maximum of|within|as (?:many|much) "
    r"as)\s*[$€£]?$",
    re.I,
)
FUNCTIONAL = re.compile(
    r"\b(?:(?:\w+ed|\w+en|bred|built|made|led|held|run|drawn|found|sung|won|sold|bought|laid|paid) by|"
    r"(?:located|based|situated|headquartered|headquarters|born|hosted|assembled|buried|moored) (?:\w+ )?(?:in|at|on)|"
    r"(?:architect|author|founder|leader|composer|builder|director|capital|owner|maintainer|chair\w*|ceo|manager|"
    r"designer|engineer|inventor|head|lead|captain|"
    r"manufacturer|supplier|operator|keeper|curator|editor|mayor|successor|headquarters|"
    r"contractor)\b.{0,30}?\b(?:was|is|were|are|:)|"
    r"(?:was|is) (?:the )?(?:\w+ ){0,2}(?:architect|author|founder|leader|composer|builder|engineer in charge|"
    r"director|capital|owner|maintainer|chair\w*|ceo|manager|designer|engineer|"
    r"inventor|captain|manufacturer|supplier|operator|keeper|curator|editor|mayor|contractor)|"
    r"(?:architect|author|founder|leader|composer|builder|engineer|designer|captain|owner|director)(?=\s(?-i:[A-Z]))|"
    r"named after|(?:written|implemented|coded) in|comes from|came from|won by)\b",
    re.IGNORECASE,
)  # fmt: skip
