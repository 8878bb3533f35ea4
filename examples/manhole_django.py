"""A Django project in one file, with a manhole that knows its settings, models and views.

MANHOLE_PORT=8822 python examples/manhole_django.py runserver --noreload 8000
ssh -p 8822 127.0.0.1 'settings.DEBUG'

In a project of several files the call belongs into `AppConfig.ready()`.
"""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from sshkit import manhole

settings.configure(DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY=os.urandom(16).hex())
visits: list[str] = []


def home(request: HttpRequest) -> HttpResponse:
    """Count a visit."""
    visits.append(request.path)
    return HttpResponse(f"visit {len(visits)}\n".encode())


urlpatterns = [path("", home)]
application = get_wsgi_application()
door = manhole.start(globals(), port=int(os.environ.get("MANHOLE_PORT", "0")), title="django")

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
