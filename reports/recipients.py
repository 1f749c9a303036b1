"""Who may be sent a report by e-mail: people who may see its rows, and addresses that the installation trusts."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q

from audit.rights import people
from reports import rights
from reports.table import Dataset

MOST_RECIPIENTS = 20


def check(addresses: Collection[str], dataset: Dataset, accounts: frozenset[str]) -> None:
    """Raise ValidationError of `recipients` where one of the addresses is none, or may not be sent this report."""
    if len(addresses) > MOST_RECIPIENTS:
        raise ValidationError({"recipients": f"These are more than {MOST_RECIPIENTS} addresses."})
    for address in addresses:
        try:
            validate_email(address)
        except ValidationError:
            raise ValidationError({"recipients": f"{address} is no e-mail address."}) from None
    allowed = allowed_of(addresses, dataset, accounts)
    refused = ", ".join(sorted(set(addresses) - allowed))
    if refused:
        raise ValidationError({"recipients": f"Nobody who may see this report has the address {refused}."})


def allowed_of(addresses: Iterable[str], dataset: Dataset, accounts: frozenset[str]) -> frozenset[str]:
    """Return those of some addresses that may be sent a report on these accounts (none: on all) now."""
    trusted = {domain.casefold() for domain in settings.RISK_REPORT_MAIL_DOMAINS}
    by_domain = {each for each in addresses if each.rpartition("@")[2].casefold() in trusted}
    others = [each for each in addresses if each not in by_domain]
    of_people = _addresses_of_people(others, dataset, accounts)
    return frozenset(by_domain | {each for each in others if each.casefold() in of_people})


def _addresses_of_people(addresses: Collection[str], dataset: Dataset, accounts: frozenset[str]) -> set[str]:
    """Return the addresses, in lower case, of people who may see all rows of a report."""
    if not addresses:
        return set()
    asked = Q()
    for address in addresses:
        asked |= Q(email__iexact=address)
    users = list(User.objects.filter(asked, is_active=True))
    found = people(users)
    return {user.email.casefold() for user in users if rights.may_see_rows(found[user.pk], dataset, accounts)}
