"""What all unit tests share."""

from tests.one_worker import _one_worker, own_worker  # noqa: F401 - fixtures
