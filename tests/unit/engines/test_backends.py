"""What runs within the process of an engine, without the libraries."""

import pytest

from gguf2ollama.engines.backends import BackendError, llama_cpp, transformers


class Pieces(list):
    """Collects what is emitted, and ends the answer after some of it."""

    def __init__(self, most=100):
        super().__init__()
        self.most = most

    def __call__(self, content, thinking):
        if content or thinking:
            self.append((content, thinking))
        return len(self) >= self.most


def test_llama_cpps_chunks_become_pieces_and_figures():
    pieces = Pieces()
    answer = llama_cpp._Answer(pieces)
    for delta in ({"role": "assistant", "content": None}, {"reasoning_content": "hm"}, {"content": "Yes"}):
        assert not answer.chat_chunk({"choices": [{"delta": delta, "finish_reason": None}]})
    answer.chat_chunk({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 7, "completion_tokens": 2}
    answer.chat_chunk({"choices": [], "usage": usage, "timings": {"prompt_ms": 500, "predicted_ms": 250}})
    assert pieces == [("", "hm"), ("Yes", "")]
    assert answer.done() == {
        "reason": "stop",
        "prompt_tokens": 7,
        "prompt_seconds": 0.5,
        "answer_tokens": 2,
        "answer_seconds": 0.25,
    }


def test_an_answer_of_llama_cpp_ends_when_nobody_wants_more():
    answer = llama_cpp._Answer(Pieces(most=1))
    assert answer.text_chunk({"choices": [{"text": "a", "finish_reason": None}]})
    assert answer.done()["reason"] == "cancelled"


@pytest.mark.parametrize(
    "kind, expected", [("exceed_context_size_error", "context"), ("server_error", "generate")]
)
def test_an_error_of_llama_cpps_server_is_raised(kind, expected):
    answer = llama_cpp._Answer(Pieces())
    assert answer.chat_chunk({"error": {"type": kind, "message": "too long"}})
    with pytest.raises(BackendError, match="too long") as caught:
        answer.done()
    assert caught.value.kind == expected


class Letters:
    """A tokenizer of bytes."""

    def decode(self, tokens, *, skip_special_tokens):
        assert skip_special_tokens
        return bytes(token for token in tokens if token).decode("utf-8", "replace")


class Tokens(list):
    """A tensor, as far as a streamer sees it."""

    def flatten(self):
        return self

    def tolist(self):
        return self


def answered(text, *, stops=(), most=100, ends=(0,)):
    pieces = Pieces(most)
    answer = transformers._Answer(Letters(), pieces, stops=stops)
    answer.put(Tokens([1, 2, 3]))  # the prompt
    for token in (*text.encode(), 0):
        answer.put(Tokens([token]))
        if answer._is_stopped or answer._is_cancelled:
            break
    answer.end()
    return "".join(content for content, _ in pieces), answer.reason(ends)


@pytest.mark.parametrize(
    "text, stops, expected",
    [
        ("Grüße, 世界", (), "Grüße, 世界"),
        ("one END two", ("END",), "one "),
        ("one EN two", ("END",), "one EN two"),
        ("abc", ("c", "bc"), "a"),
    ],
)
def test_transformers_tokens_become_text_up_to_a_stop_string(text, stops, expected):
    assert answered(text, stops=stops) == (expected, "stop")


def test_an_answer_of_transformers_says_why_it_ended():
    assert answered("abc", ends=())[1] == "length"
    assert answered("abc", most=2) == ("ab", "cancelled")


def test_greedy_sampling_has_no_temperature():
    options = {"temperature": 0, "top_k": 40, "top_p": 0.9, "min_p": 0.1, "repeat_penalty": 1.1}
    assert transformers._sampling(options) == {"do_sample": False, "repetition_penalty": 1.1}
    assert transformers._sampling({**options, "temperature": 1})["do_sample"]
