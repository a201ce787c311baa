"""Chat templates of our own that show, one by one, what Ollama's native way does to chats."""

from __future__ import annotations

_TURNS = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% if m.tool_calls %}{% for c in m.tool_calls %}"
    "<call id={{ c.id }}>{{ c.function.name }} {{ c.function.arguments | tojson }}</call>"
    "{% endfor %}{% endif %}{% if m.name %}({{ m.name }} {{ m.tool_call_id }}){% endif %}"
    "<|end|>\n{% endfor %}"
)
_OFFER = "{% if tools %}<|tools|>{{ tools | tojson }}<|end|>\n{% endif %}"
_OPEN = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
_WHOLE = _OFFER + _TURNS + _OPEN


def _marked(*marks: str, before: str = "", body: str = _WHOLE, after: str = "") -> str:
    """Return a template that llama.cpp takes for one of a family, by marks that it never prints."""
    return before + "{% if false %}" + " ".join(marks) + "{% endif %}" + body + after


NATIVE_TEMPLATES: dict[str, str] = {
    "turns and tools": _WHOLE,
    "no system": (
        "{% for m in messages %}{% if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endif %}"
        "{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    ),
    "system refused": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    ),
    "asks the system only whether it is there": (
        "{% set offset = 1 if messages[0]['role'] == 'system' else 0 %}"
        "{% for m in messages[offset:] %}({{ m['role'] }}){{ m['content'] | trim }}{{ eos_token }}"
        "{% endfor %}"
        "{{ '(assistant)' if add_generation_prompt }}"
    ),
    "parts only": (
        "{% for m in messages %}<{{ m.role }}>{% for part in m.content %}"
        "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    ),
    "parts or texts": (
        "{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for part in m.content %}P{{ part['text'] }}{% endfor %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    ),
    "arguments as text": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}"
        "{{ c['function']['name'] + '(' + c['function']['arguments'] + ')' }}{% endfor %}\n{% endfor %}"
    ),
    "arguments one by one": (
        _OFFER + "{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}"
        "<{{ c.function.name }}>{% for k, v in c.function.arguments.items() %}"
        "{{ k }}={{ v if v is string else v | tojson }};{% endfor %}{% endfor %}\n{% endfor %}" + _OPEN
    ),
    "tools in Python's words": (
        "{% for t in tools or [] %}{{ t }}|{{ t | string }}|{{ t.function.parameters.properties | string }}\n"
        "{% endfor %}" + _TURNS + _OPEN
    ),
    "a switch that Ollama does not see": (
        _TURNS + "{% if add_generation_prompt %}<|assistant|>"
        "{% if enable_thinking is defined and not enable_thinking %}[quick]{% else %}[slow]{% endif %}"
        "{% endif %}"
    ),
    "a switch at the end": (
        _TURNS + "{% if add_generation_prompt %}<|assistant|>"
        "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
        "{% endif %}"
    ),
    "a thought is begun": (
        _TURNS + "{% if add_generation_prompt %}<|assistant|>{% if enable_thinking %}<think>\n{% endif %}"
        "{% endif %}{# </think> #}"
    ),
    "thinking of answers": (
        "{% for m in messages %}<|{{ m.role }}|>{% if m.reasoning_content %}<think>{{ m.reasoning_content }}"
        "</think>\n{% endif %}{{ m.content }}<|end|>{% endfor %}" + _OPEN
    ),
    "thinking before calls only": (
        _OFFER + "{% for m in messages %}<|{{ m.role }}|>{% if m.tool_calls and m.reasoning_content %}"
        "<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content or '' }}"
        "{{ m.tool_calls | tojson if m.tool_calls }}<|end|>{% endfor %}" + _OPEN
    ),
    "old thinking": (
        "{% for m in messages %}<|{{ m.role }}|>{% set content = m.content %}"
        "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
        "{{ content }}<|end|>{% endfor %}" + _OPEN
    ),
    "levels": (
        "{{ reasoning_effort }}/{{ reasoning_strength }}/{{ preserve_thinking }}/{{ clear_thinking }}/"
        "{{ drop_thinking }}\n" + _TURNS + _OPEN + "{# <think></think> #}"
    ),
    "dates": "{{ date_string }}|{{ datetime }}|{{ strftime_now('%Y') }}\n" + _TURNS + _OPEN,
    "BOS and EOS": "{{ bos_token }}" + _TURNS + _OPEN + "{{ eos_token }}",
    "a call that is no JSON": (
        _OFFER + "{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}"
        '{"name": "{{ c.function.name }}", arguments: {{ c.function.arguments | tojson }}}{% endfor %}\n'
        "{% endfor %}" + _OPEN
    ),
    "a call in JSON": (
        _OFFER + "{% for m in messages %}{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}"
        '<tool_call>{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}'
        "</tool_call>{% endfor %}\n{% endfor %}" + _OPEN
    ),
    "refuses every chat": "{{ raise_exception('never') }}",
    "refuses the second answer": (
        "{% for m in messages %}{% if loop.index > 3 and m.role == 'assistant' %}"
        "{{ raise_exception('too long') }}{% endif %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    ),
    "is no Jinja": "{% for m in messages %}{{ m.content }}",
    "knows words that llama.cpp does not": "{% for m in messages %}{{ m.content }}{% endfor %}{% do 1 %}",
    "one character first": "a{% for m in messages %}{{ m.content }}{% endfor %}",
    "lines and margins": (
        "{%- for m in messages %}\n    {%- if m.role == 'user' %}\n        {{- '<u>' + m.content }}\n"
        "    {% else %}\n  {{ m.role }}  {{ m.content }}\n    {% endif %}\n{%- endfor %}\n\n  end\n"
    ),
    "trimmed where the tools say JSONSchema": (
        "{% if tools %}You have access to the following functions in JSONSchema format{% endif %}" + _WHOLE
    ),
    "jumps": (
        "{% for m in messages %}{% if m.role == 'system' %}lost{% continue %}{% endif %}{{ m.role }}="
        "{{ m.content }};{% if loop.index > 4 %}cut{% break %}{% endif %}{% endfor %}" + _OPEN
    ),
    "macros": (
        "{% macro turn(m, mark='~') %}{{ mark }}{{ m.role | upper }}{{ mark }} {{ m.content | trim }}\n"
        "{% endmacro %}{% for m in messages %}{{ turn(m) if m.role == 'user' else turn(m, mark='*') }}"
        "{% endfor %}{{ '~ASSISTANT~' if add_generation_prompt }}"
    ),
    "Ministral 3": _marked(
        "[SYSTEM_PROMPT] [TOOL_CALLS] [ARGS]",
        body=(
            "{% for m in messages %}[{{ m.role }}]{% if m.content is string %}{{ m.content }}{% else %}"
            "{% for part in m.content %}«{{ part.type }}:{{ part.text }}»{% endfor %}{% endif %}{% endfor %}"
        ),
    ),
    "GPT-OSS": _marked("<|channel|>", after="<|return|>"),
    "Muse Glimmer": _marked("<atem:function_calls>", "<|eom|>"),
    "Functionary v3.2": _marked(">>>all", ">>>${recipient}"),
    "Kimi K2": _marked("<|tool_calls_section_begin|>", "<|tool_call_begin|>"),
    "Kimi K3": _marked("<|open|>", "<|close|>", "<|end_of_msg|>"),
    "Ling 3.0": _marked("<role>ASSISTANT</role>", "<arg_key>"),
    "Cohere2 MoE": _marked("<|START_TEXT|>", "<|START_ACTION|>"),
    "LFM2": _marked("<|tool_list_start|>", "<|tool_list_end|>"),
    "LFM2.5": _marked("List of tools: ["),
    "GigaChat V3": _marked("<|role_sep|>", "<|message_sep|>"),
    "MiniMax-M3": _marked("]<]minimax[>[", "<tool_call>", "<invoke name="),
    "DeepSeek V3.2": _marked("dsml_token", "DSML", "function_calls"),
    "DeepSeek V4": _marked("dsml_token", "DSML"),
    "Gemma 4": _marked(
        "'<|tool_call>call:'",
        body=_WHOLE.replace("{% if m.tool_calls %}", "{{ m.tool_responses | tojson }}{% if m.tool_calls %}"),
        after="{{ '<turn|>\n' if messages | length > 2 }}",
    ),
    "newer Gemma 4": _marked("'<|tool_call>call:'", "{#- OpenAI Chat Completions: -#}"),
    "MiniCPM5": _marked("Tool usage guidelines:", '<function name="', '<param name="'),
    "Qwen3-Coder": _marked("<tool_call>", "<function=", "<parameter="),
    "Qwen3-Coder that thinks": _marked("<tool_call>", "<function=", "<parameter=", "<think> </think>"),
    "Granite 3.3": _marked(
        "Write your thoughts between <think></think> and write your response between <response></response>"
    ),
    "Nemotron Nano 2": _marked("<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>", "<TOOL_RESPONSE>"),
    "Laguna": "{% set laguna_glm_thinking = 1 %}" + _TURNS + "{% if add_generation_prompt %}<|assistant|>"
    "{% if enable_thinking %}<think>\n{% endif %}{% endif %}",
}


def _each(statements: str, *, before: str = "") -> str:
    """Return a template that runs statements, and others for each message before it prints that."""
    opening = "{% for m in messages %}"
    return before + opening + statements + _TURNS.removeprefix(opening) + _OPEN


CHANGING_TEMPLATES: dict[str, str] = {
    "calls are dropped": _each("{% if m.tool_calls %}{% set m.tool_calls = [] %}{% endif %}"),
    "calls are dropped and counted": _each(
        "{% if m.tool_calls %}{% set m.tool_calls = [] %}{{ m.tool_calls | length }}{% endif %}"
    ),
    "calls are dropped by a variable": _each(
        "{% set none_of_them = [] %}{% if m.tool_calls %}{% set m.tool_calls = none_of_them %}{% endif %}"
    ),
    "calls are none": _each("{% if m.tool_calls %}{% set m.tool_calls = none %}{% endif %}"),
    "every message gets calls": _each("{% set m.tool_calls = m.tool_calls or [] %}"),
    "one call of several stays": _each(
        "{% if m.tool_calls and m.tool_calls | length > 1 %}{% set m.tool_calls = [m.tool_calls[0]] %}"
        "{% endif %}"
    ),
    "calls are doubled": _each("{% if m.tool_calls %}{% set m.tool_calls = m.tool_calls * 2 %}{% endif %}"),
    "calls are listed anew": _each(
        "{% if m.tool_calls %}{% set c = m.tool_calls[0] %}{% set m.tool_calls = [c, c] %}{% endif %}"
    ),
    "arguments become text": _each(
        "{% for c in m.tool_calls or [] %}"
        "{% set c.function.arguments = c.function.arguments | tojson %}{% endfor %}"
    ),
    "arguments become an object": _each(
        "{% for c in m.tool_calls or [] %}{% set c.function.arguments = {'arg': 'x'} %}{% endfor %}"
    ),
    "contents are trimmed": _each("{% set m.content = m.content | trim %}"),
    "contents of results are set": _each(
        "{% if m.role == 'tool' %}{% set m.content = 'result' %}{% endif %}"
    ),
    "contents are copied": _each("{% set m.text = m.content %}{{ m.text }}"),
    "contents are swapped": (
        "{% for m in messages %}{% set m.content = messages[-1].content %}{% if m.role == 'user' %}"
        "{{ m.content }}{% endif %}{% endfor %}"
    ),
    "messages are marked": _each("{% set m.seen = true %}"),
    "the first message is replaced": _each("", before="{% set messages[0].content = 'first' %}"),
    "a computed member": _each("{% set m['content'] = 'no' %}"),
    "a loop": _each("{% set loop.seen = loop.index %}[{{ loop.seen }}]"),
    "a namespace": _each("{% set n.count = n.count + 1 %}", before="{% set n = namespace(count=0) %}"),
    "an object in a namespace": _each("{% set n.d.x = m.role %}", before="{% set n = namespace(d={}) %}"),
    "an object": _each("{{ d.x }}", before="{% set d = {} %}{% set d.x = 'y' %}"),
    "a text": _each("", before="{% set d = 'text' %}{% set d.x = 'y' %}"),
    "a list": _each("", before="{% set messages.x = 'y' %}"),
    "nothing that is ever reached": _each("{% if m.nothing %}{% set m.content = 'no' %}{% endif %}"),
    "the first message is taken off": _each(
        "", before="{% set first = messages.pop(0) %}{{ first.content }}"
    ),
    "the last message is taken off": _each("") + "{% set last = messages.pop() %}",
    "a message is added": _each("", before="{% set all = messages.append({'role': 'x', 'content': 'y'}) %}"),
    "tools are renamed": _each(
        "",
        before="{% for t in tools or [] %}{% set t.function.name = 'x' %}{% endfor %}",
    ),
    "tools are emptied": _each(
        "", before="{% for t in tools or [] %}{% set t.function = none %}{% endfor %}"
    ),
}
"""Templates that change what they are given, which Jinja2 refuses for all but a namespace."""
