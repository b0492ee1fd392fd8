"""The cluster as the page of the system shows it: what `variantbus cluster check` says. Needs the extra `cluster`."""

from typing import Final

from msgspec import Struct

from bus.cluster.access import Access
from bus.cluster.connection import settings_of
from variantbus.cluster.judging import View, problems_of
from variantbus.cluster.looking import look
from variantbus.dashboard.fresh import Fresh
from variantbus.reports.health import Problem

ASK_SECONDS: Final = 1.5  # a server that does not answer meanwhile is shown as away
BETWEEN_SECONDS: Final = 5.0  # from one look to the next one


class Seen(Struct, frozen=True, kw_only=True):
    """A cluster, and what is wrong with it."""

    problems: list[Problem]
    cluster: View


class ClusterEyes:
    """Looks at a cluster while a page asks for it."""

    def __init__(self, access: Access) -> None:
        """Connect to nothing yet.

        Raises:
            ClusterRefusedError: credentials or certificates cannot be read.
        """
        settings_of(access)
        self._access = access
        # a look takes long where it waits for who does not answer, which is no load for the others
        self._seen = Fresh(self._look, BETWEEN_SECONDS, share=1)

    def see(self) -> Seen:
        """Return how the cluster is; many pages share one look."""
        return self._seen.get()

    def _look(self) -> Seen:
        view, before = look(self._access, (), ASK_SECONDS)
        return Seen(problems=problems_of(view, before), cluster=view)
