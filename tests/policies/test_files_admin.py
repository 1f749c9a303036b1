"""Files of limits in the admin: exported, and imported in two steps."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from audit.models import AccountGrant
from policies.files.services import plan_import
from policies.models import ChangeRequest
from tests.policies.requesting import policy
from tests.policies.subjects import account, limit
from tests.policies.test_book_admin import person

LOOSER = "name,threshold,description\nMax Account Leverage,12,So said ann\n"


@pytest.fixture
def olga(client, db):
    user = person("olga", "view_book", "view_changerequest", "change_limits")
    client.force_login(user)
    return user


def sent(client: Any, content: str | bytes = LOOSER, name: str = "limits.csv", sheet: str = "") -> str:
    """Send a file to be looked at, and return the page."""
    data = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile(name, data)
    response = client.post(reverse("admin:policies_book_import"), {"file": file, "sheet": sheet})
    assert response.status_code == 200
    text: str = response.content.decode()
    return " ".join(text.split())


def carried(page: str) -> str:
    (found,) = re.findall(r'name="carried" value="([^"]*)"', page)
    return str(found)


def test_a_file_is_looked_at_before_anything_is_written(defaults, client, olga):
    page = sent(client)
    assert "1 row to change; 0 like that already" in page
    assert "a higher ceiling on leverage" in page
    assert "Besides, what no check goes by" in page
    assert "So said ann" in page
    assert not ChangeRequest.objects.exists()


def test_what_was_looked_at_becomes_one_request(defaults, client, olga):
    given = {"carried": carried(sent(client)), "reason": "More room"}
    response = client.post(reverse("admin:policies_book_import"), given)
    request = ChangeRequest.objects.get()
    assert response["Location"] == reverse("admin:policies_changerequest_change", args=(request.pk,))
    assert (request.title, request.reason, request.author) == ("Import of limits.csv", "More room", "olga")
    assert policy().threshold == 10


def test_what_is_carried_cannot_be_changed_nor_taken_by_another(defaults, client, olga):
    given = carried(sent(client))
    client.post(reverse("admin:policies_book_import"), {"carried": given[:-1] + "x", "reason": "r"})
    client.force_login(person("otto", "view_book", "change_limits"))
    page = client.post(reverse("admin:policies_book_import"), {"carried": given, "reason": "r"}, follow=True)
    assert "choose it again" in page.content.decode()
    assert not ChangeRequest.objects.exists()


def test_without_a_reason_nothing_is_written(defaults, client, olga):
    given = {"carried": carried(sent(client)), "reason": " "}
    page = client.post(reverse("admin:policies_book_import"), given, follow=True)
    assert "Say why this is changed." in page.content.decode()
    assert not ChangeRequest.objects.exists()


def test_what_is_wrong_with_a_file_is_told_by_row_and_column(defaults, client, olga):
    page = sent(client, "name,threshold\nMax Account Leverage,NaN\n")
    assert "line 2, threshold: expected a number such as 1000 or 0.05, not &#x27;NaN&#x27;" in page


def test_a_file_that_changes_nothing_says_so(defaults, client, olga):
    assert "There is nothing to change." in sent(client, "name,threshold\nMax Account Leverage,10\n")


def test_the_kind_of_a_csv_file_may_be_said(defaults, client, olga):
    account("desk-1")
    assert "say which kind" in sent(client, "id,enabled\ndesk-1,false\n")
    assert "its orders are blocked" in sent(client, "id,enabled\ndesk-1,false\n", sheet="accounts")


def test_no_file_is_refused(defaults, client, olga):
    page = client.post(reverse("admin:policies_book_import"), {"sheet": ""})
    assert "Choose a file." in page.content.decode()


@pytest.mark.parametrize(("form", "only"), [("yaml", ""), ("xlsx", ""), ("csv", "policies")])
def test_an_export_is_a_file_that_changes_nothing(defaults, client, olga, form, only):
    limit("Another")
    response = client.get(reverse("admin:policies_book_export", args=(form,)), {"only": only})
    name = re.findall(r'filename="([^"]*)"', response["Content-Disposition"])[0]
    assert plan_import(response.content, name).edits == ()
    assert "There is nothing to change." in sent(client, response.content, name)


@pytest.mark.parametrize(("form", "only"), [("exe", ""), ("csv", ""), ("yaml", "books")])
def test_an_export_of_another_kind_is_refused(defaults, client, olga, form, only):
    address = reverse("admin:policies_book_export", args=(form,))
    assert client.get(address, {"only": only}).status_code == 403


def test_who_is_for_some_accounts_exports_nothing(defaults, client, olga):
    AccountGrant.objects.create(user=olga, account_id="desk-1")
    client.force_login(olga)  # a session ends with a change of rights
    assert client.get(reverse("admin:policies_book_export", args=("yaml",))).status_code == 403
    assert "Export the limits" not in client.get(reverse("admin:policies_book_changelist")).content.decode()


def test_who_may_not_ask_for_changes_imports_nothing(defaults, client):
    client.force_login(person("viktor", "view_book"))
    assert client.get(reverse("admin:policies_book_import")).status_code == 403
    file = SimpleUploadedFile("limits.csv", LOOSER.encode())
    assert client.post(reverse("admin:policies_book_import"), {"file": file}).status_code == 403
    assert "Import a file" not in client.get(reverse("admin:policies_book_changelist")).content.decode()
