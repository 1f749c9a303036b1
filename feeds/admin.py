"""Dead letters in the admin: what came that could not be taken, why, and the button that takes it after all."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest

from audit.acting import Acting, NotAllowed
from audit.rights import acting_of
from audit.seeing import OfAll
from audit.unfold import ModelAdmin, TextareaWidget, display
from feeds.apply import NoBook
from feeds.books import BOOKS
from feeds.dead_letters import REPLAY, NotReplayed, do_replay_dead_letter
from feeds.intake import Outcome
from feeds.models import DeadLetter
from state.store import StateUnavailable
from state.wiring import store

_TOLD = {
    Outcome.TAKEN: "The message was taken.",
    Outcome.KNOWN: "The message changes nothing: it was taken before, or is older than what is known.",
}


class ReplayForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose saving takes the letter's message, while it is validated, so that a refusal is shown on it."""

    acting: ClassVar[Acting]

    reason = forms.CharField(
        label="Take it now, because",
        widget=TextareaWidget(attrs={"rows": 2}),
        help_text="The message is taken as it came. Kept for good in the audit log, with your name.",
    )

    outcome: Outcome | None = None

    class Meta:
        model = DeadLetter
        fields = ()

    def _post_clean(self) -> None:
        if self.errors:
            return
        try:
            self.outcome = do_replay_dead_letter(
                self.instance.pk, acting=self.acting, reason=self.cleaned_data["reason"], store=store(), books=BOOKS
            )
        except (NotAllowed, NotReplayed, StateUnavailable, NoBook) as error:
            self.add_error(None, f"It cannot be taken: {error}")


@admin.register(DeadLetter)
class DeadLetterAdmin(OfAll, ModelAdmin):
    """Letters are written by the feeds and never changed, but for being taken."""

    form = ReplayForm
    actions = None
    list_display = ("received_at", "subject", "short_error", "replayed_at", "replayed_by")
    list_filter = ("subject", "received_at", ("replayed_at", admin.EmptyFieldListFilter))
    search_fields = ("error",)
    list_per_page = 50
    show_full_result_count = False
    _shown = ("received_at", "subject", "error", "shown_payload", "replayed_at", "replayed_by")
    readonly_fields = _shown

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> tuple[str, ...]:
        return (*self._shown, "reason") if self.has_change_permission(request, obj) else self._shown

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made: Any = super().get_form(request, obj, change, **{**kwargs, "fields": ()})
        made.acting = acting_of(request.user)
        return made

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Return whether this person may take the letter: one that is taken stays as it is."""
        may = request.user.has_perm(REPLAY) and not acting_of(request.user).accounts
        return may and (not isinstance(obj, DeadLetter) or obj.replayed_at is None)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The form has done it already."""
        messages.info(request, _TOLD[form.outcome])

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        """The audit log has it."""

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> list[Any]:
        return []

    @display(description="Error")
    def short_error(self, letter: DeadLetter) -> str:
        return letter.error if len(letter.error) <= 100 else f"{letter.error[:100]}..."

    @display(description="Message")
    def shown_payload(self, letter: DeadLetter) -> str:
        return bytes(letter.payload).decode(errors="backslashreplace")
