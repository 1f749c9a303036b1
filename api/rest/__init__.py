"""The documented doors: Django REST framework over WSGI."""
