"""Chat templates of our own for what models do in one or another way: call tools, think, count."""

from __future__ import annotations

__all__ = [
    "ACTIONS",
    "COUNTED_TURNS",
    "JSON_CALLS",
    "JSON_CALLS_NO_THOUGHTS",
    "KEYS_AND_VALUES",
    "MISREAD",
    "PRINTED_ARGUMENTS",
    "REFUSED_SYSTEM",
    "SILENT_CALLS",
    "TAKEN_FOR_ANOTHER",
    "TEXT_ARGUMENTS",
    "UNFORESEEN_CALLS",
    "UNREADABLE",
    "UNSEEN_THOUGHTS",
    "XML_CALLS",
    "XML_CALLS_NO_THOUGHTS",
]

_OFFER = (
    "{% if tools %}<|im_start|>system\nThese are your tools:\n{% for tool in tools %}{{ tool | tojson }}\n"
    "{% endfor %}<|im_end|>\n{% endif %}"
)
_TURNS = (
    "{% for m in messages %}"
    "{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n</tool_response>"
    "<|im_end|>\n"
    "{% elif m.role == 'assistant' %}<|im_start|>assistant\n"
    "THOUGHT{{ m.content }}{% for c in m.tool_calls or [] %}CALL{% endfor %}<|im_end|>\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}"
    "{% endfor %}"
)
_BEGIN = "{% if add_generation_prompt %}<|im_start|>assistant\n"
_THOUGHT = "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
_SWITCH = (
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}"
)
_XML = (
    "\n<tool_call>\n<function={{ c.function.name }}>\n"
    "{% for k, v in c.function.arguments.items() %}<parameter={{ k }}>\n"
    "{{ v if v is string else v | tojson }}\n</parameter>\n{% endfor %}</function>\n</tool_call>"
)
_JSON = (
    '\n<tool_call>\n{"name": {{ c.function.name | tojson }}, '
    '"arguments": {{ c.function.arguments | tojson }}}\n</tool_call>'
)
_KEYS = (
    "<tool_call>{{ c.function.name }}{% for k, v in c.function.arguments.items() %}<arg_key>{{ k }}</arg_key>"
    "<arg_value>{{ v if v is string else v | tojson }}</arg_value>{% endfor %}</tool_call>"
)


def _template(call: str, *, thought: str = _THOUGHT, switch: str = _SWITCH) -> str:
    return _OFFER + _TURNS.replace("THOUGHT", thought).replace("CALL", call) + _BEGIN + switch + "{% endif %}"


XML_CALLS = _template(_XML)
XML_CALLS_NO_THOUGHTS = _template(_XML, thought="", switch="")
# llama.cpp takes it for Qwen3-Coder's by how it writes calls, and expects that family's turns
TAKEN_FOR_ANOTHER = XML_CALLS_NO_THOUGHTS.replace("<|im_", "<|turn_")
JSON_CALLS = _template(_JSON)
# arguments have to be text that is JSON already; llama.cpp learns from arguments that are objects
TEXT_ARGUMENTS = _template(
    "{{ '<|calls|><|call|>function<|sep|>' + c['function']['name'] + '\n```json\n'"
    " + c['function']['arguments'] + '\n```<|end_call|><|end_calls|>' }}",
    thought="",
    switch="",
)
# calls of functions as in Python, which llama.cpp takes for names in tags: with a call, answers fail
UNFORESEEN_CALLS = _template(
    "<|call_start|>\n```python\n{{ c.function.name }}({% for k, v in c.function.arguments.items() %}{{ k }}="
    "{{ v | tojson }}{{ ', ' if not loop.last }}{% endfor %})\n```\n<|call_end|>\n",
    thought="",
    switch="",
)
JSON_CALLS_NO_THOUGHTS = _template(_JSON, thought="", switch="")
# it looks at calls and prints nothing of them: llama.cpp tells nothing of any answer to a request with tools
SILENT_CALLS = JSON_CALLS_NO_THOUGHTS.replace("<tool_call>", "{#").replace("</tool_call>", "#}")
# of what these write llama.cpp takes something for what it is not; the names are those of what that is
MISREAD = {
    "thoughts": (  # it looks for the opening mark in what a generation prompt adds, which is nothing
        "{% if add_generation_prompt is not defined %}{% set add_generation_prompt = true %}{% endif %}"
        + _template(_JSON, switch="{{ '<think>' if enable_thinking else '<think></think>' }}")
    ),
    "contents": JSON_CALLS_NO_THOUGHTS.replace(  # it compares answers to requests with tools
        "{{ m.content }}",
        "{% if m.content %}{{ '<say>' if tools else '<say></say>' }}{{ m.content }}{{ '</say>' if tools }}"
        "{% endif %}",
    ),
    "braces": _template(
        '{% if loop.first %}{{ \'{"name": \' }}{{ c.function.name | tojson }}, "parameters": '
        "{{ c.function.arguments | tojson }}}{% endif %}",
        thought="",
        switch="",
    ),
    "several calls": _template(  # it expects a comma between two
        "{{ '<calls>\n' if loop.first }}<invoke name=\"{{ c.function.name }}\">\n"
        '{% for k, v in c.function.arguments.items() %}<parameter name="{{ k }}">{{ v }}</parameter>\n'
        "{% endfor %}</invoke>\n{{ '</calls>' if loop.last }}",
        thought="",
        switch="",
    ),
}
# the model begins its thoughts by itself; llama.cpp learns no tags where no turn that is over shows any
UNSEEN_THOUGHTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n{% endif %}{% endif %}"
)
KEYS_AND_VALUES = _template(
    _KEYS,
    thought="<think>{{ m.reasoning_content or '' }}</think>",
    switch="{{ '</think>' if enable_thinking is defined and not enable_thinking else '<think>' }}",
)
UNREADABLE = _template("<do {{ c.function.name }}: {{ c.function.arguments.items() | list | string }} />")
ACTIONS = (
    _OFFER + "{% for m in messages %}"
    "{% if m.role == 'tool' %}<|im_start|>result\n{{ m.content }}<|END_OF_TURN_TOKEN|>"
    "{% elif m.role == 'assistant' %}<|im_start|>assistant\n"
    "{% if m.reasoning_content %}<|START_THINKING|>{{ m.reasoning_content }}<|END_THINKING|>"
    "{% else %}<|START_THINKING|><|END_THINKING|>{% endif %}"
    "{% if m.tool_calls %}<|START_ACTION|>[{% for c in m.tool_calls %}"
    '{"tool_call_id": "{{ loop.index0 }}", "tool_name": {{ c.function.name | tojson }}, "parameters": '
    "{{ c.function.arguments | tojson }}}{{ ', ' if not loop.last }}{% endfor %}]<|END_ACTION|>"
    "{% else %}<|START_TEXT|>{{ m.content }}<|END_TEXT|>{% endif %}<|END_OF_TURN_TOKEN|>"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|END_OF_TURN_TOKEN|>{% endif %}{% endfor %}"
    + _BEGIN
    + "<|START_THINKING|>{% if enable_thinking is defined and not enable_thinking %}<|END_THINKING|>"
    "{% endif %}{% endif %}"
)
PRINTED_ARGUMENTS = (
    "{% for tool in tools or [] %}{{ tool | tojson }}\n{% endfor %}"
    "{% for m in messages %}<{{ m.role }}>{{- m['content'] -}}{% for call in m.tool_calls or [] %}"
    "{% for name, value in call.function.arguments.items() %}{{ name }}={{- value }};{% endfor %}"
    "{% endfor %}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
COUNTED_TURNS = (
    "{% set turn = namespace(number=0) %}{% for m in messages %}"
    "{% if m.role == 'user' %}{% set turn.number = turn.number + 1 %}"
    "#{{ turn.number }}\nQ: {{ m.content }}\n{% elif m.role == 'assistant' %}A: {{ m.content }}\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}A:{% endif %}"
)
REFUSED_SYSTEM = (
    "{% for m in messages %}"
    "{% if m.role == 'system' %}{{ raise_exception('not taken: ' ~ m.content) }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
