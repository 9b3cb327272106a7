"""What other processes wrote to the stores of a tenant, taken in: events, items, consent, and that somebody was erased."""

from __future__ import annotations

from zhiyin.online.masked import MASKED, number_of
from zhiyin.online.tenant import CONSENT, ERASURES, Tenant


class Follower:
    """``look`` brings memory up to the stores; ``since`` is the version of the tables from before the tenant was opened.

    One thread calls it. Where nothing is new it costs a look at a number and one query.
    """

    def __init__(self, tenant: Tenant, since: int) -> None:
        self.tenant = tenant
        self._since = since

    def look(self) -> bool:
        """True where something was new."""
        n = self.tenant.catch_up(ring=False)
        tables = self.tenant.shop.tables
        if tables.version() <= self._since:
            return n > 0
        self.tenant.shop.catch_up()
        erased = False
        while changes := tables.changes(self._since):
            for change in changes:
                if change.collection == CONSENT:
                    self.tenant.allow(change.id, change.body or {})
                elif change.collection == MASKED and change.body is not None and change.body.get("bundle") == self.tenant.snapshot.version:
                    self.tenant.people.mask(number_of(change.id, change.body))
                erased |= change.collection == ERASURES and change.id != self.tenant.token
            self._since = changes[-1].version
        if erased:
            self.tenant.refold()
        return True
