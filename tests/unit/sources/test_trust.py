"""The certificates that connections to the Hub trust."""

from pathlib import Path

import pytest

from gguf2ollama.errors import UsageProblem
from gguf2ollama.sources.huggingface import HubSite
from gguf2ollama.sources.trust import trusted_certificates

CERTIFICATE = Path(__file__).parents[2] / "fakes" / "loopback.pem"


def test_they_are_read_once_for_all_connections():
    assert trusted_certificates() is trusted_certificates()


def test_they_are_read_again_when_the_environment_names_others(monkeypatch):
    before = trusted_certificates()
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    assert len(trusted_certificates().get_ca_certs()) == 1
    monkeypatch.undo()
    assert len(trusted_certificates().get_ca_certs()) == len(before.get_ca_certs())


def test_a_file_that_is_not_there_is_told_each_time(monkeypatch, settings, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    for _ in range(2):
        with pytest.raises(UsageProblem) as caught:
            HubSite(settings)
        assert "SSL_CERT_FILE" in caught.value.hint
