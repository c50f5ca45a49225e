"""What metrics show of the database and the home folder, read when somebody scrapes: groups of families, each read by a
few bounded queries. So runs that end at once need no process that collects their numbers.

Every gateway of an installation reads the same values; see docs/observability.md for how to add them up.
"""

from core.health.measures.families import Family, Group, Kind, Sample, Source
from core.health.measures.index import EVALS, INDEX, MIGRATION
from core.health.measures.intake import LEDGER, LOG
from core.health.measures.machine import PARTS
from core.health.measures.tasks import PUBLICATIONS, QUEUE
from core.health.measures.used import USED

GROUPS: tuple[Group, ...] = (QUEUE, PUBLICATIONS, LEDGER, LOG, USED, INDEX, MIGRATION, EVALS, PARTS)

__all__ = ["GROUPS", "Family", "Group", "Kind", "Sample", "Source"]
