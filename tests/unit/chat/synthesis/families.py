"""Small chat templates of our own that behave as families of real ones do."""

_MESSAGE = "{% for m in messages %}"
_END = "{% endfor %}"
_TOOLS = (
    "{% if tools %}{{ '\\n\\n# Tools\\n<tools>' }}"
    "{% for tool in tools %}{{ '\\n' + tool | tojson }}{% endfor %}"
    "{{ '\\n</tools>' }}{% endif %}"
)
_CALLS = (
    "{% for call in m.tool_calls or [] %}"
    '{{ \'\\n<tool_call>\\n{"name": "\' + call.function.name + \'", "arguments": \' }}'
    "{{ call.function.arguments | tojson + '}\\n</tool_call>' }}{% endfor %}"
)
_RESULTS = (
    "{% elif m.role == 'tool' %}"
    "{% if messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}"
    "{{ '\\n<tool_response>\\n' + m.content + '\\n</tool_response>' }}"
    "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\\n' }}{% endif %}"
)
_SYSTEM_FIRST = "{% set first = messages[0].content if messages[0].role == 'system' else '' %}"
_LAST_USER = (
    "{% set ns = namespace(last=-1) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
)
_NEXT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
_TURN = "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"

_DEFAULT_BEFORE_TOOLS = (
    "{% set first = messages[0].content if messages[0].role == 'system' else 'You are a test.' %}"
    "{% if first.strip() or tools %}{{ '<system>\\n' + first.rstrip() }}"
    "{% if tools %}{{ '\\n# Tools\\n' }}{% for tool in tools %}{{ tool | tojson + '\\n' }}{% endfor %}"
    "{{ 'Think, then call.' if enable_thinking else 'Call.' }}{% endif %}"
    "{{ '\\n</system>\\n' }}{% endif %}"
)

_EMPTY_THOUGHT = (
    "{% set text = m.content %}{% set opens = '<think>' in text %}{% set closes = '</think>' in text %}"
    "{% if opens and closes and loop.index0 < ns.last %}"
    "{% set text = '<think>none</think>' + text.split('</think>')[-1] %}"
    "{% elif m.reasoning_content and loop.index0 > ns.last %}"
    "{% set text = '<think>' + m.reasoning_content + '</think>' + text %}"
    "{% elif m.reasoning_content or not (opens or closes) %}"
    "{% set text = '<think>none</think>' + text %}{% endif %}"
)
"""An answer's text with its thoughts, or with an empty one where it names no marks of thinking."""

PLAIN = {
    "turns": _MESSAGE + _TURN + _END + _NEXT,
    "a default system text": (
        _MESSAGE + "{% if loop.first and m.role != 'system' %}"
        "{{ '<|im_start|>system\\nYou are a test.<|im_end|>\\n' }}" + "{% endif %}" + _TURN + _END + _NEXT
    ),
    "a default for no system text and for an empty one": (
        _SYSTEM_FIRST
        + "{{ '<|im_start|>system\\n' + (first or 'You are a test.') + '<|im_end|>\\n' }}"
        + _MESSAGE
        + "{% if m.role != 'system' %}"
        + _TURN
        + "{% endif %}"
        + _END
        + _NEXT
    ),
    "headers, texts stripped, BOS": (
        "{{ bos_token }}"
        + _MESSAGE
        + "{{ '<|header|>' + m.role + '<|end|>\\n\\n' + m.content | trim + '<|eot|>' }}"
        + _END
        + "{% if add_generation_prompt %}{{ '<|header|>assistant<|end|>\\n\\n' }}{% endif %}"
    ),
    "system joined to the first question and stripped with it": (
        _SYSTEM_FIRST
        + _MESSAGE
        + "{% if m.role == 'user' %}{% set text = '<<SYS>>\\n' + first + '\\n<</SYS>>\\n\\n' + m.content"
        " if first and loop.index0 == 1 else m.content %}"
        "{{ bos_token + '[INST] ' + text.strip() + ' [/INST]' }}"
        "{% elif m.role == 'assistant' %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}" + _END
    ),
    "system before the last question": (
        _SYSTEM_FIRST + _LAST_USER + "{{ bos_token }}" + _MESSAGE + "{% if m.role == 'user' %}{{ '[INST] ' }}"
        "{% if first and loop.index0 == ns.last %}{{ first + '\\n\\n' }}{% endif %}"
        "{{ m.content + '[/INST]' }}"
        "{% elif m.role == 'assistant' %}{{ ' ' + m.content | trim + eos_token }}{% endif %}" + _END
    ),
    "no system text": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
        + _MESSAGE
        + "{{ '<start>' + ('model' if m.role == 'assistant' else m.role) + '\\n'"
        " + m.content | trim + '<end>\\n' }}"
        + _END
        + "{% if add_generation_prompt %}{{ '<start>model\\n' }}{% endif %}"
    ),
    "names and new lines, stripped of new lines": (
        _MESSAGE + "{{ {'user': 'USER: ', 'assistant': 'BOT: ', 'system': ''}[m.role]"
        " + m.content.strip('\\n') + '\\n' }}"
        + _END
        + "{% if add_generation_prompt %}{{ 'BOT:' }}{% endif %}"
    ),
    "the day's date": (
        _SYSTEM_FIRST
        + "{{ '<|system|>Today is ' + strftime_now('%d %B %Y') + '. ' + first + '<|end|>' }}"
        + _MESSAGE
        + "{% if m.role != 'system' %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endif %}"
        + _END
        + "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    ),
    "only the last question": "{{ 'Judge: <' + messages[-1].content | trim + '>\\nAnswer:' }}",
}
THINKING = {
    "a switch that closes thinking at once": (
        PLAIN["turns"] + "{% if enable_thinking is defined and not enable_thinking %}"
        "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    ),
    "a switch that is off until it is set": (
        PLAIN["turns"] + "{% if enable_thinking %}{{ '<think>\\n' }}{% else %}{{ '</think>' }}{% endif %}"
    ),
    "a level in the system text": (
        "{{ '<|system|>Reasoning: ' + (reasoning_effort or 'medium') + '<|end|>' }}"
        + _MESSAGE
        + _TURN
        + _END
        + _NEXT
    ),
    "thinking left out of earlier answers": (
        _MESSAGE + "{% set text = m.content.split('</think>')[-1].lstrip('\\n')"
        " if m.role == 'assistant' else m.content %}"
        "{{ '<|' + m.role + '|>' + text + '<|end|>' }}"
        + _END
        + "{% if add_generation_prompt %}{{ '<|assistant|><think>\\n' }}{% endif %}"
    ),
    "thinking shown after the last question": (
        _LAST_USER + _MESSAGE + "{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\\n' }}"
        "{% if m.reasoning_content and loop.index0 > ns.last %}"
        "{{ '<think>\\n' + m.reasoning_content.strip('\\n') + '\\n</think>\\n\\n' }}{% endif %}"
        "{{ m.content + '<|im_end|>\\n' }}"
        "{% else %}" + _TURN + "{% endif %}" + _END + _NEXT
    ),
}
_ASSISTANT = (
    "{% elif m.role == 'assistant' %}{{ '<|im_start|>assistant' }}"
    "{% if m.content or not m.tool_calls %}{{ '\\n' + m.content }}{% endif %}"
    + _CALLS
    + "{{ '<|im_end|>\\n' }}"
)
_TOOLS_BEFORE_TURNS = (
    _SYSTEM_FIRST
    + "{{ '<|im_start|>system\\n' + (first or 'You are a test.') }}"
    + _TOOLS
    + "{{ '<|im_end|>\\n' }}"
    + _MESSAGE
    + "{% if m.role == 'user' %}"
    + _TURN
)
TOOLS = {
    "tools in the system text, calls and results in tags": (
        _TOOLS_BEFORE_TURNS + _ASSISTANT + _RESULTS + "{% endif %}" + _END + _NEXT
    ),
    "tools before the last question, ids": (
        _LAST_USER + "{{ bos_token }}" + _MESSAGE + "{% if m.role in ['user', 'system'] %}"
        "{% if tools and loop.index0 == ns.last %}{{ '[TOOLS]' + tools | tojson + '[/TOOLS]' }}{% endif %}"
        "{{ '[INST]' + m.content + '[/INST]' }}"
        "{% elif m.tool_calls %}{{ '[CALLS][' }}{% for call in m.tool_calls %}"
        "{{ {'name': call.function.name, 'arguments': call.function.arguments, 'id': call.id} | tojson }}"
        "{{ ', ' if not loop.last else ']' + eos_token }}{% endfor %}"
        "{% elif m.role == 'tool' %}{{ '[RESULT]' + m.tool_call_id + ': ' + m.content + '[/RESULT]' }}"
        "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}" + _END
    ),
}
THINKING_WITH_TOOLS = (
    _DEFAULT_BEFORE_TOOLS + _MESSAGE + "{% if m.role == 'user' %}{{ '<user>' + m.content + '</user>\\n' }}"
    "{% elif m.role == 'assistant' %}{{ '<assistant>' }}"
    "{{ '<think>' + m.reasoning_content if m.reasoning_content }}{{ '</think>' + m.content }}"
    + _CALLS
    + "{{ '</assistant>\\n' }}"
    "{% elif m.role == 'tool' %}{{ '<result>' + m.content + '</result>\\n' }}{% endif %}"
    + _END
    + "{% if add_generation_prompt %}{{ '<assistant>' + ('<think>' if enable_thinking else '</think>') }}"
    "{% endif %}"
)
"""What stands before a first question depends on system text, tools and thinking, but not on all at once."""

LONE_MARKS_AND_CALLS = (
    _LAST_USER
    + _TOOLS_BEFORE_TURNS
    + "{% elif m.role == 'assistant' %}"
    + _EMPTY_THOUGHT
    + "{{ '<|im_start|>assistant\\n' + text | trim }}"
    + _CALLS
    + "{{ '<|im_end|>\\n' }}"
    + _RESULTS
    + "{% endif %}"
    + _END
    + _NEXT
)
"""An empty thought before answers that name no marks of thinking, whether they call or not."""
