"""Who may have which report: whoever may see its rows.

A report that was made is for whoever asked for it, and for those who may read the audit log; each of them only as long
as they may see all of its rows.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q, QuerySet

from audit.acting import Acting
from reports.datasets import DATASETS
from reports.errors import NoSuchReport
from reports.models import Report
from reports.table import Asked, Dataset

SEE_ALL = "audit.view_auditevent"


def may_have(acting: Acting, dataset: Dataset) -> bool:
    """Return whether somebody may have a report at all, of the accounts that they are for."""
    return all(map(acting.may, dataset.permissions)) and not (dataset.of_all and acting.accounts)


def datasets_for(acting: Acting) -> list[Dataset]:
    """Return the reports that somebody may have."""
    return [each for each in DATASETS.values() if may_have(acting, each)]


def demand(acting: Acting, dataset: Dataset, asked: Asked) -> None:
    """Raise NotAllowed (NotTheirAccount) where somebody may not have a report about what they ask for."""
    for permission in dataset.permissions:
        acting.demand(permission)
    if dataset.of_all:
        acting.demand_account("", f"{dataset.title}, which concerns all of them")
    if asked.account_id:
        acting.demand_account(asked.account_id, f"account {asked.account_id}")


def of_those(acting: Acting) -> QuerySet[Report]:
    """Return the reports that somebody may see but for their accounts, which `may_see` asks about."""
    rows = Report.objects.filter(name__in=[each.name for each in datasets_for(acting)])
    return rows if acting.may(SEE_ALL) else rows.filter(_asked_by(acting))


def may_see_rows(acting: Acting, dataset: Dataset, accounts: Collection[str]) -> bool:
    """Return whether somebody may see all rows of a report that was made of these accounts (none: of all)."""
    theirs = not acting.accounts or (bool(accounts) and acting.accounts.issuperset(accounts))
    return theirs and may_have(acting, dataset)


def may_see(acting: Acting, report: Report) -> bool:
    """Return whether somebody may see, now, all the rows of a report that was asked for, and may know of it."""
    dataset = DATASETS.get(report.name)
    if dataset is None or not may_see_rows(acting, dataset, report.accounts):
        return False
    return acting.may(SEE_ALL) or is_own(acting, report)


def is_own(acting: Acting, report: Report) -> bool:
    """Return whether a report was asked for by this person, or by this key."""
    person = report.person.get_username() if report.person else ""
    return report.asked_by == acting.name or bool(person and person == acting.person)


def find(acting: Acting, report_id: UUID) -> Report:
    """Return a report that somebody may see. Raises NoSuchReport."""
    row = Report.objects.select_related("person").filter(pk=report_id).first()
    if row is None or not may_see(acting, row):
        raise NoSuchReport(f"There is no report {report_id}.")
    return row


def _asked_by(acting: Acting) -> Q:
    mine = Q(asked_by=acting.name)
    return mine | Q(person__username=acting.person) if acting.person else mine
