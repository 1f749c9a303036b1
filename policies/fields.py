"""Columns of this package that Django does not have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.text import capfirst

from policies.hours import format_window, parse_window
from policies.validation import Between, kept_exactly, name_list

if TYPE_CHECKING:
    from decimal import Decimal

    _Decimal = models.DecimalField[Decimal | str | int, Decimal]
else:
    _Decimal = models.DecimalField


class BoundedDecimalField(_Decimal):
    """A decimal within `bounds`; the model adds `bounds.constraint(...)`, so that the database holds them too."""

    def __init__(self, *args: Any, bounds: Between, **kwargs: Any) -> None:
        self.bounds = bounds
        kwargs.setdefault("validators", [bounds, kept_exactly])
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("validators", None)
        return name, path, args, {**kwargs, "bounds": self.bounds}


class NameListFormField(forms.CharField):
    """Names typed one after the other, with commas or new lines between them."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, list):
            return value
        return [each for each in re.split(r"[,\n]+", value or "") if each.strip()]

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != name_list(self.to_python(data)))


class NameListField(models.JSONField):
    """A JSON list of names, sorted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("default", list)
        kwargs.setdefault("blank", True)
        super().__init__(*args, **kwargs)

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        return super().clean(name_list(value), model_instance)

    def formfield(self, **kwargs: Any) -> Any:
        chosen = {name: each for name, each in kwargs.items() if name in ("widget", "label", "help_text")}
        said = {"required": not self.blank, "label": capfirst(self.verbose_name), "help_text": self.help_text}
        return NameListFormField(strip=False, **{**said, **chosen})


class WindowListFormField(forms.CharField):
    """Active windows typed one a line."""

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, list) else [line for line in (value or "").splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool((initial or []) != window_list(self.to_python(data)))
        except ValidationError:
            return True


class WindowListField(models.JSONField):
    """A JSON list of active windows as people write them (`policies.hours`), each in one way only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("default", list)
        kwargs.setdefault("blank", True)
        super().__init__(*args, **kwargs)

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        return super().clean(window_list(value), model_instance)

    def formfield(self, **kwargs: Any) -> Any:
        chosen = {name: each for name, each in kwargs.items() if name in ("widget", "label", "help_text")}
        said = {"required": not self.blank, "label": capfirst(self.verbose_name), "help_text": self.help_text}
        return WindowListFormField(strip=False, **{"widget": forms.Textarea(attrs={"rows": 2}), **said, **chosen})


def window_list(value: Any) -> list[str]:
    """Return the lines of active windows, each as `format_window` writes it. Raises ValidationError."""
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ValidationError("Expected a list of windows.", code="list")
    try:
        return list(dict.fromkeys(format_window(parse_window(line)) for line in value))
    except ValueError as error:
        raise ValidationError(str(error), code="window") from None
