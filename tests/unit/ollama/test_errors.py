"""Errors of the server and of the way to it, explained."""

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama import errors
from gguf2ollama.ollama import errors as ollama_errors
from gguf2ollama.ollama.errors import Asked, foreign_errors, refusal

ASKED = Asked(address="http://h:11434", method="POST", path="/api/chat", subject="smol")
CREATE = Asked(address="http://h:11434", method="POST", path="/api/create", subject="smol")
PULL = Asked(address="http://h:11434", method="POST", path="/api/pull", subject="smol")
BLOB = "sha256-" + "0" * 64

# texts as servers of 0.34.4, 0.32.15 or 0.17.4 give them
TEXTS = [
    ("write /models/blobs/sha256-12: no space left on device", errors.NotEnoughSpace, ASKED),
    ("write C:\\x: There is not enough space on the disk.", errors.NotEnoughSpace, ASKED),
    (
        "model requires more system memory (9.1 GiB) than is available (3.2 GiB)",
        errors.NotEnoughSpace,
        ASKED,
    ),
    ("llama-server reported out-of-memory during startup: cudaMalloc failed", errors.NotEnoughSpace, ASKED),
    ("model 'smol' not found", errors.NotFound, ASKED),
    ('model "smol" not found, try pulling it first', errors.NotFound, ASKED),
    (
        "open /m/manifests/registry.ollama.ai/library/smol/latest: no such file or directory",
        errors.NotFound,
        ASKED,
    ),
    ("pull model manifest: file does not exist", errors.NotFound, ASKED),
    (
        'pull model manifest: 412: {"errors":[{"message":"requires a newer version of Ollama."}]}',
        errors.ServerRefused,
        ASKED,
    ),
    ("insecure protocol http", errors.UsageProblem, ASKED),
    ("http: no Location header in response", errors.ServerRefused, ASKED),
    ("unauthorized: access denied", errors.ServerRefused, ASKED),
    ("dial tcp: lookup registry.ollama.ai: no such host", errors.ServerRefused, PULL),
    ("unexpected EOF", errors.ServerRefused, PULL),
    ("pull model manifest: Get registry.ollama.ai: dial tcp: no such host", errors.ServerRefused, CREATE),
    ("digest mismatch, file must be downloaded again: want x, got y", errors.ServerRefused, PULL),
    ("open /usr/share/ollama/.ollama/models/blobs/sha256-1: permission denied", errors.ServerRefused, CREATE),
    (f'digest mismatch, expected "{BLOB}", got "{BLOB}"', errors.InvalidInput, ASKED),
    (
        'invalid split GGUF: split GGUF "m-00001-of-00003.gguf" has 1 shards, expected 3',
        errors.InvalidShards,
        CREATE,
    ),
    ("supplied file was not in GGUF format", errors.InvalidGguf, CREATE),
    ("unsupported file type [60 104 116 109]", errors.InvalidGguf, CREATE),
    ("error reading GGUF item 24: unexpected EOF", errors.InvalidGguf, CREATE),
    ('tensor "a" offset+size (31866688) exceeds file size (5000000)', errors.InvalidGguf, CREATE),
    ("failed to validate GGUF with llama-quantize: exit status 1", errors.InvalidGguf, CREATE),
    ("Unable to generate parser for this template. Automatic parser …", errors.ServerRefused, ASKED),
    ("error loading model: unknown model architecture: 'novel'", errors.ServerRefused, ASKED),
    ("LoRA adapters are no longer supported", errors.UsageProblem, CREATE),
    ("create-time quantization is only supported for safetensors imports", errors.UsageProblem, CREATE),
    ('template error: template: :1: unexpected "}" in if', errors.InvalidModelfile, CREATE),
    ('invalid requires version: "x" is not valid semantic version', errors.InvalidModelfile, CREATE),
    ("typical_p is no longer supported", errors.UsageProblem, CREATE),
    ('option "num_ctx" must be of type integer', errors.UsageProblem, ASKED),
    ("invalid model name", errors.UsageProblem, CREATE),
    ('destination "bad name!" is invalid', errors.UsageProblem, ASKED),
    ("model is required", errors.ServerRefused, ASKED),
    ("413 Request Entity Too Large", errors.ServerRefused, ASKED),
    ('"smol" does not support thinking', errors.UsageProblem, ASKED),
    ("server busy, please try again.  maximum pending requests exceeded", errors.ServerRefused, ASKED),
    ("llama-server binary not found (checked: /usr/lib/ollama)", errors.ServerRefused, ASKED),
    ("path or Modelfile are required", errors.ServerRefused, CREATE),
    ("neither 'from' or 'files' was specified", errors.UsageProblem, CREATE),
    (f"stat /models/blobs/{BLOB}: no such file or directory", errors.ServerRefused, CREATE),
    ("timed out waiting for llama-server to start - ", errors.ServerRefused, ASKED),
    ("llama-server process has terminated: signal: killed", errors.ServerRefused, ASKED),
    ("llama-server process has terminated: signal: segmentation fault", errors.ServerRefused, ASKED),
    ("unexpected EOF", errors.ServerRefused, ASKED),
]


@pytest.mark.parametrize("text, kind, asked", TEXTS, ids=[text[:40] for text, _, _ in TEXTS])
def test_a_known_text_has_its_class_and_a_way_out(text, kind, asked):
    error = refusal(text, status=500, asked=asked)
    assert type(error) is kind
    assert error.hint
    assert "{" not in error.message.replace(text, "")


def test_every_rule_is_reached_by_a_text():
    reached = {
        next(rule for rule in ollama_errors._RULES if rule.fits(asked, said=ollama_errors.printable(text)))
        for text, _, asked in TEXTS
    }
    assert reached == set(ollama_errors._RULES)


def test_an_unknown_text_is_shown_with_where_it_came_from():
    error = refusal("the moon is full", status=500, asked=ASKED)
    assert type(error) is errors.ServerRefused
    assert error.message == "POST /api/chat at http://h:11434 answered with status 500: the moon is full"
    assert error.status == 500
    assert "log" in error.hint


def test_an_answer_without_a_text_has_a_sentence_all_the_same():
    assert "gave no reason" in refusal("", status=502, asked=ASKED).message
    assert "localhost" in refusal("", status=403, asked=ASKED).hint
    assert "not Ollama" in refusal("404 page not found", status=404, asked=ASKED).message


@given(st.text(), st.sampled_from([0, 400, 403, 404, 500]))
def test_any_text_of_a_server_is_safe_to_print(text, status):
    error = refusal(text, status=status, asked=ASKED)
    assert isinstance(error, errors.Gguf2OllamaError)
    assert error.message.isprintable()
    assert len(error.message) < 2000


def foreign_classes():
    found = []
    for library in (httpx, httpcore):
        found += [
            value
            for value in vars(library).values()
            if isinstance(value, type)
            and issubclass(value, Exception)
            and value.__module__.startswith(library.__name__)
        ]
    return found


@pytest.mark.parametrize("kind", foreign_classes(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_of_the_libraries_has_a_meaning_of_its_own(kind):
    assert kind.__name__ in ollama_errors._MEANINGS
    problem = kind.__new__(kind, "detail")
    with pytest.raises(errors.Gguf2OllamaError) as caught, foreign_errors(ASKED):
        raise problem
    assert caught.value.__cause__ is problem
    assert caught.value.hint
    assert "http://h:11434" in caught.value.message


def test_the_tree_of_exceptions_was_walked():
    assert {httpx.ReadTimeout, httpx.InvalidURL, httpcore.ReadTimeout} <= set(foreign_classes())


def test_a_subclass_of_a_library_counts_as_its_parent():
    class Special(httpx.ConnectError):
        pass

    with pytest.raises(errors.ServerUnreachable), foreign_errors(ASKED):
        raise Special("refused")


def test_exceptions_of_our_own_pass_unchanged():
    with pytest.raises(KeyError), foreign_errors(ASKED):
        raise KeyError("ours")


def test_a_certificate_that_is_not_trusted_is_named():
    with pytest.raises(errors.ServerUnreachable, match="certificate") as caught, foreign_errors(ASKED):
        raise httpcore.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    assert "SSL_CERT_FILE" in caught.value.hint


def test_a_crash_on_a_processor_is_told_apart_from_a_lack_of_memory():
    crashed, killed = (
        refusal(f"llama-server process has terminated: signal: {signal}", status=500, asked=ASKED)
        for signal in ("segmentation fault (core dumped)", "killed")
    )
    assert "LLAMA_ARG_REPACK=0" in crashed.hint
    assert "memory" in killed.hint
