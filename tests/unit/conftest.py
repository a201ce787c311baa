"""What all unit tests share."""

from tests.sparing import _no_wait_for_the_disk, _one_worker, _same_choice, own_worker  # noqa: F401 - fixtures
