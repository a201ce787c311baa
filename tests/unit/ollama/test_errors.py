"""Errors of the server and of the way to it, explained."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf2ollama import errors
from gguf2ollama.names import ModelName
from gguf2ollama.net import Failure, FailureKind
from gguf2ollama.ollama import errors as ollama_errors
from gguf2ollama.ollama.errors import ApiCall, explain_failure, explain_refusal

CALL = ApiCall(address="http://h:11434", method="POST", path="/api/chat", subject="smol")
CREATE = ApiCall(address="http://h:11434", method="POST", path="/api/create", subject="smol")
PULL = ApiCall(address="http://h:11434", method="POST", path="/api/pull", subject="smol")
BLOB = "sha256-" + "0" * 64

_ADDRESS = "127.0.0.1:40123"
_ENDED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error,"
    " check ollama server logs for details"
)
# of a runner that was unloaded under a request; 0.34.4 and 0.32.15 gave the first and the third
RUNNER_STOPPED = [
    (
        f'llama-server apply-template error: Post "http://{_ADDRESS}/apply-template": dial tcp {_ADDRESS}:'
        " connect: connection refused"
    ),
    f'llama-server apply-template error: Post "http://{_ADDRESS}/apply-template": EOF',
    "llama-server process no longer running: unknown ",
    _ENDED,
    "connection refused",
    f'health resp: Get "http://{_ADDRESS}/health": EOF',
    f'do embedding request: Post "http://{_ADDRESS}/embedding": EOF',
    "llama runner process no longer running: -1 ",
]
# texts as servers of 0.34.4, 0.32.15 or 0.17.4 give them
TEXTS = [
    ("write /models/blobs/sha256-12: no space left on device", errors.NotEnoughSpace, CALL),
    ("write C:\\x: There is not enough space on the disk.", errors.NotEnoughSpace, CALL),
    (
        "model requires more system memory (9.1 GiB) than is available (3.2 GiB)",
        errors.NotEnoughSpace,
        CALL,
    ),
    ("llama-server reported out-of-memory during startup: cudaMalloc failed", errors.NotEnoughSpace, CALL),
    ("model 'smol' not found", errors.NotFound, CALL),
    ('model "smol" not found, try pulling it first', errors.NotFound, CALL),
    (
        "open /m/manifests/registry.ollama.ai/library/smol/latest: no such file or directory",
        errors.NotFound,
        CALL,
    ),
    ("pull model manifest: file does not exist", errors.NotFound, CALL),
    (
        'pull model manifest: 412: {"errors":[{"message":"requires a newer version of Ollama."}]}',
        errors.ServerRefused,
        CALL,
    ),
    ("insecure protocol http", errors.UsageProblem, CALL),
    ("http: no Location header in response", errors.ServerRefused, CALL),
    ("unauthorized: access denied", errors.ServerRefused, CALL),
    ("dial tcp: lookup registry.ollama.ai: no such host", errors.ServerRefused, PULL),
    ("unexpected EOF", errors.ServerRefused, PULL),
    ("pull model manifest: Get registry.ollama.ai: dial tcp: no such host", errors.ServerRefused, CREATE),
    ("digest mismatch, file must be downloaded again: want x, got y", errors.ServerRefused, PULL),
    ("open /usr/share/ollama/.ollama/models/blobs/sha256-1: permission denied", errors.ServerRefused, CREATE),
    (f'digest mismatch, expected "{BLOB}", got "{BLOB}"', errors.InvalidInput, CALL),
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
    ("Unable to generate parser for this template. Automatic parser …", errors.ServerRefused, CALL),
    ("error loading model: unknown model architecture: 'novel'", errors.ServerRefused, CALL),
    (
        "error loading model: error loading model hyperparameters: key not found in model: llama.block_count",
        errors.ServerRefused,
        CALL,
    ),
    (
        '{"error":{"code":400,"message":"Failed to load image or audio file"}}',
        errors.UsageProblem,
        CALL,
    ),
    ("LoRA adapters are no longer supported", errors.UsageProblem, CREATE),
    ("create-time quantization is only supported for safetensors imports", errors.UsageProblem, CREATE),
    ('template error: template: :1: unexpected "}" in if', errors.InvalidModelfile, CREATE),
    ('invalid requires version: "x" is not valid semantic version', errors.InvalidModelfile, CREATE),
    ("typical_p is no longer supported", errors.UsageProblem, CREATE),
    ('option "num_ctx" must be of type integer', errors.UsageProblem, CALL),
    ("invalid model name", errors.UsageProblem, CREATE),
    ('destination "bad name!" is invalid', errors.UsageProblem, CALL),
    ("model is required", errors.ServerRefused, CALL),
    ("413 Request Entity Too Large", errors.ServerRefused, CALL),
    ('"smol" does not support thinking', errors.UsageProblem, CALL),
    ("server busy, please try again.  maximum pending requests exceeded", errors.ServerRefused, CALL),
    ("llama-server binary not found (checked: /usr/lib/ollama)", errors.ServerRefused, CALL),
    ("path or Modelfile are required", errors.ServerRefused, CREATE),
    ("neither 'from' or 'files' was specified", errors.UsageProblem, CREATE),
    (f"stat /models/blobs/{BLOB}: no such file or directory", errors.ServerRefused, CREATE),
    ("timed out waiting for llama-server to start - ", errors.ServerRefused, CALL),
    ("llama-server process has terminated: signal: killed", errors.ServerRefused, CALL),
    *((text, errors.RunnerStopped, CALL) for text in RUNNER_STOPPED),
    (f"{_ENDED}: CUDA error: an illegal memory access", errors.ServerRefused, CALL),
    ("llama-server process has terminated: signal: segmentation fault", errors.ServerRefused, CALL),
    ("unexpected EOF", errors.ServerRefused, CALL),
]


@pytest.mark.parametrize("text, kind, asked", TEXTS, ids=[text[:40] for text, _, _ in TEXTS])
def test_a_known_text_has_its_class_and_a_way_out(text, kind, asked):
    error = explain_refusal(text, status=500, call=asked)
    assert type(error) is kind
    assert error.hint
    assert "{" not in error.message.replace(text, "")


def test_every_rule_is_reached_by_a_text():
    reached = {
        next(rule for rule in ollama_errors._RULES if rule.fits(asked, said=ollama_errors.printable(text)))
        for text, _, asked in TEXTS
    }
    assert reached == set(ollama_errors._RULES)


@pytest.mark.parametrize("text", RUNNER_STOPPED)
def test_a_runner_that_was_unloaded_is_no_fault_of_a_template(text):
    error = explain_refusal(text, status=500, call=CALL)
    assert "unloaded" in error.hint
    assert "TEMPLATE" not in error.message + error.hint
    assert error.retry_after == 0


def test_an_unknown_text_is_shown_with_where_it_came_from():
    error = explain_refusal("the moon is full", status=500, call=CALL)
    assert type(error) is errors.ServerRefused
    assert error.message == "POST /api/chat at http://h:11434 returned HTTP 500: the moon is full"
    assert error.status == 500
    assert "log" in error.hint


def test_an_answer_without_a_text_has_a_sentence_all_the_same():
    assert "no reason given" in explain_refusal("", status=502, call=CALL).message
    assert "localhost" in explain_refusal("", status=403, call=CALL).hint
    assert "not an Ollama server" in explain_refusal("404 page not found", status=404, call=CALL).message


@given(st.text(), st.sampled_from([0, 400, 403, 404, 500]))
def test_any_text_of_a_server_is_safe_to_print(text, status):
    error = explain_refusal(text, status=status, call=CALL)
    assert isinstance(error, errors.Gguf2OllamaError)
    assert error.message.isprintable()
    assert len(error.message) < 2000


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_is_explained(kind):
    failure = Failure(
        kind=kind, method="POST", url="http://h:11434/api/chat", detail="it is so", seconds=7, proxy="p:1"
    )
    problem = explain_failure(failure, call=CALL)
    assert isinstance(problem, errors.ServerProblem)
    assert problem.hint
    assert "h:11434" in problem.message or "p:1" in problem.message
    assert "{" not in problem.message


def test_a_certificate_that_is_not_trusted_is_named_with_what_to_do():
    failure = Failure(kind=FailureKind.CERTIFICATE, method="GET", url="https://h/", detail="self-signed")
    hint = explain_failure(failure, call=CALL).hint
    assert "--ca" in hint
    assert "SSL_CERT_FILE" in hint


def test_a_server_that_wants_a_key_says_so():
    without = explain_refusal("Unauthorized", status=401, call=CALL)
    assert "requires authentication (HTTP 401): Unauthorized" in without.message
    assert "OLLAMA_API_KEY" in without.hint
    with_key = explain_refusal("", status=401, call=replace(CALL, has_key=True))
    assert with_key.message == "http://h:11434 rejected the API key (HTTP 401)"
    assert (
        "registry"
        in explain_refusal("unauthorized", status=401, call=replace(CALL, path="/api/push")).message
    )


def test_a_crash_on_a_processor_is_told_apart_from_a_lack_of_memory():
    crashed, killed = (
        explain_refusal(f"llama-server process has terminated: signal: {signal}", status=500, call=CALL)
        for signal in ("segmentation fault (core dumped)", "killed")
    )
    assert "LLAMA_ARG_REPACK=0" in crashed.hint
    assert "memory" in killed.hint


@pytest.mark.parametrize(
    "reason",
    [
        "error loading model hyperparameters: key llama.block_count has wrong type i32 but expected type u32",
        "check_tensor_dims: tensor 'blk.1.attn_norm.weight' not found",
        "error loading model vocabulary: cannot find tokenizer merges in model file",
        "tensor 'token_embd.weight' data is not within the file bounds, model is corrupted or incomplete",
    ],
)
def test_where_llama_cpp_says_why_it_loads_no_model_memory_is_not_blamed(reason):
    text = f"llama-server process has terminated: exit status 1: error loading model: {reason}"
    refused = explain_refusal(text, status=500, call=CALL)
    assert reason in refused.message
    assert "memory" not in refused.hint


@pytest.mark.parametrize(
    "reason",
    [
        "error loading model: mmap failed: Cannot allocate memory",
        "error loading model: llama_model_loader: failed to load model from /x/blobs/sha256-0",
        "exit status 1",
    ],
)
def test_where_it_does_not_or_lacks_memory_that_is_what_to_look_at(reason):
    text = f"llama-server process has terminated: {reason}"
    assert "memory" in (explain_refusal(text, status=500, call=CALL).hint or "")


def test_a_model_that_is_being_made_has_its_own_name():
    name = str(ModelName.parse("me/smol:q4").temporary("1234567890123456"))
    call = replace(CALL, subject=name)
    refused = explain_refusal("error loading model: no key", status=500, call=call)
    assert "cannot load smol:q4 on" in refused.message
    assert "smol:q4" in explain_refusal(f"pull of {name} failed", status=500, call=call).message
