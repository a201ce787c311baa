"""Results that reports are made of."""

import dataclasses

from gguf2ollama.chat.comparison import Parity, compare
from gguf2ollama.chat.conversation import Conversation
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference_prompt import Authors, Claims
from gguf2ollama.names import ModelName
from gguf2ollama.verification.baseline import OllamaDefault
from gguf2ollama.verification.smoke_tests import Check
from gguf2ollama.verification.verify import Verification

HOSTILE = "<script>alert(1)</script>&amp;\"'><img src=x onerror=alert(1)>\x00\x1b[31m\u202e\ud800"


def case(name, want="Hello", got="Hello", *, feature="plain"):
    outcomes = [Rendered(one) if isinstance(one, str) else one for one in (want, got)]
    return compare(Conversation(name=name, messages=(), feature=feature), want=outcomes[0], got=outcomes[1])


def verification(*cases, **changes):
    found = Verification(
        name=ModelName.parse("mine"),
        server="http://127.0.0.1:11434",
        version="0.34.4",
        rendered_by="native",
        capabilities=("completion",),
        authors=Authors(chat_template="{{ messages }}", bos="<s>"),
        claims=Claims(),
        parity=Parity(cases or (case("one turn"),)),
        ollama_default=OllamaDefault(rendered_by="TEMPLATE", parity=Parity((case("one turn", got="Hi"),))),
        checks=(Check(name="loads", state="passed", detail="The server runs it."),),
    )
    return dataclasses.replace(found, **changes)
