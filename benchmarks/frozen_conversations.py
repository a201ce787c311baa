"""The conversations of the frozen table. They are never changed: every digest in the table depends on them.

They are not those of ``gguf2ollama.chat.battery.test_conversations``, which may get others. Ids of calls
have nine letters and digits, as Mistral's chat templates demand.
"""

from __future__ import annotations

from gguf2ollama.chat.conversation import Conversation, Message, ToolCall

__all__ = ["CONVERSATIONS"]


def _system(content: str) -> Message:
    return Message(role="system", content=content)


def _user(content: str) -> Message:
    return Message(role="user", content=content)


def _assistant(content: str = "", *calls: ToolCall, thinking: str | None = None) -> Message:
    return Message(role="assistant", content=content, calls=calls, thinking=thinking)


def _result(content: str, call: ToolCall) -> Message:
    return Message(role="tool", content=content, tool_name=call.name, tool_call_id=call.id)


_GUIDE = _system("You guide visitors of a museum. Answer in one sentence.")
_GREETED = (_user("Good morning!"), _assistant("Good morning. What would you like to see?"))
_ASK = _user("Is the east wing open on Sunday?")
# keys out of alphabetical order, as a client may send them: some ways keep the order, others sort
_OPENING_HOURS = {
    "type": "function",
    "function": {
        "name": "opening_hours",
        "description": "Return when a wing is open.",
        "parameters": {
            "type": "object",
            "properties": {
                "wing": {"type": "string", "description": "Its name", "enum": ["west", "east"]},
                "day": {"type": "string", "description": "A day of the week, such as Sunday"},
            },
            "required": ["wing"],
        },
    },
}
_FIND_WORKS = {
    "type": "function",
    "function": {
        "name": "find_works",
        "description": 'Search the catalogue: title, artist & "year" <any>.',
        "parameters": {
            "type": "object",
            "properties": {
                "words": {"type": "array", "items": {"type": "string"}},
                "made": {
                    "type": "object",
                    "description": "When it was made",
                    "properties": {"until": {"type": "integer"}, "from": {"type": "integer"}},
                },
                "limit": {"type": "integer"},
                "exact": {"type": "boolean"},
            },
            "required": ["words", "limit"],
        },
    },
}
_TOOLS = (_OPENING_HOURS, _FIND_WORKS)
_HOURS = ToolCall(name="opening_hours", arguments={"wing": "east", "day": "Sunday"}, id="hR5tY7uI9")
_WEST = ToolCall(name="opening_hours", arguments={"wing": "west"}, id="zX3cV5bN7")
_WORKS = ToolCall(
    name="find_works",
    arguments={
        "words": ["l'été", '"noon" <b>'],
        "made": {"until": 1905, "from": 1890},
        "limit": 2,
        "exact": True,
    },
    id="qW2eR4tY6",
)
_CALLED = (_ASK, _assistant("", _HOURS), _result('{"open": "10:00", "close": "17:30"}', _HOURS))
_SUM = _user("How much are 3 tickets at 14 euros?")
_RECALLED = (_SUM, _assistant("42 euros.", thinking="3 * 14 = 42.\nSo 42 euros."), _user("And 4 tickets?"))

CONVERSATIONS: tuple[Conversation, ...] = (
    Conversation(name="a question", messages=(_ASK,)),
    Conversation(name="system, a question", messages=(_GUIDE, _ASK)),
    Conversation(name="second question", messages=(*_GREETED, _ASK)),
    Conversation(name="system, second question", messages=(_GUIDE, *_GREETED, _ASK)),
    Conversation(
        name="system, fourth question",
        messages=(
            _GUIDE,
            *_GREETED,
            *(_user("The rooms of 1900."), _assistant("They are on the second floor.")),
            *(_user("Is there a lift?"), _assistant("Yes, behind the shop.")),
            _user("Thank you."),
        ),
    ),
    Conversation(
        name="lines, code and other scripts",
        messages=(
            _system("# Rules\n\n- Be brief.\n- Show code in a block.\n"),
            _user("Print this 3 times:\n\n\tdef f(x):\n\t\treturn {'x': x < 1}\n"),
            _assistant("```python\nfor _ in range(3):\n    print('…')\n```"),
            _user("Grüße, 美術館, музей 🖼"),
        ),
    ),
    Conversation(
        name="white space around contents",
        feature="odd",
        messages=(_system(" Be brief. \n"), _user("\n Hello  "), _assistant("\tHi.\n\n"), _user(" Bye\n")),
    ),
    Conversation(
        name="contents that are empty",
        feature="odd",
        messages=(_system(""), _user("Hello"), _assistant(""), _user("")),
    ),
    Conversation(
        name="marks of formats in contents",
        feature="odd",
        messages=(
            _user("<|im_end|> [/INST] </s> <|eot_id|> {{ .System }} {% if x %}"),
            _assistant("<think> and </think> <tool_call>{}</tool_call>"),
            _user("<end_of_turn>\n### Response:\n{{{"),
        ),
    ),
    Conversation(
        name="two questions in a row",
        feature="odd",
        messages=(_user("Hello?"), _user("Is anybody there?"), _assistant("Yes."), _user("Good.")),
    ),
    Conversation(name="one tool", feature="tools", messages=(_ASK,), tools=(_OPENING_HOURS,)),
    Conversation(name="two tools, system", feature="tools", messages=(_GUIDE, _ASK), tools=_TOOLS),
    Conversation(name="tools, second question", feature="tools", messages=(*_GREETED, _ASK), tools=_TOOLS),
    Conversation(name="call and result", feature="tools", messages=_CALLED, tools=_TOOLS),
    Conversation(
        name="call, result, answer and question",
        feature="tools",
        messages=(_GUIDE, *_CALLED, _assistant("Yes, from 10:00 to 17:30."), _user("And the west wing?")),
        tools=_TOOLS,
    ),
    Conversation(
        name="parallel calls behind a text",
        feature="tools",
        messages=(
            _user("When are both wings open?"),
            _assistant("I will look it up.", _HOURS, _WEST),
            _result("10:00 to 17:30", _HOURS),
            _result("closed", _WEST),
        ),
        tools=_TOOLS,
    ),
    Conversation(
        name="two steps, nested arguments",
        feature="tools",
        messages=(_GUIDE, *_CALLED, _assistant("", _WORKS), _result("[]", _WORKS)),
        tools=_TOOLS,
    ),
    Conversation(name="thinking on", feature="thinking", messages=(_SUM,), think=True),
    Conversation(name="thinking off", feature="thinking", messages=(_GUIDE, _SUM), think=False),
    Conversation(name="much thinking", feature="thinking", messages=(*_GREETED, _SUM), think="high"),
    Conversation(
        name="tools, thinking off", feature="thinking", messages=(_GUIDE, _ASK), tools=_TOOLS, think=False
    ),
    Conversation(name="earlier thoughts", feature="history", messages=_RECALLED, think=True),
    Conversation(
        name="earlier thoughts, thinking off", feature="history", messages=(_GUIDE, *_RECALLED), think=False
    ),
    Conversation(
        name="thoughts before a call",
        feature="history",
        messages=(_ASK, _assistant("", _HOURS, thinking="I have to ask."), _result("10:00", _HOURS)),
        tools=_TOOLS,
    ),
    Conversation(
        name="an answer to be continued", feature="prefill", messages=(_SUM, _assistant("Three tickets are"))
    ),
    Conversation(
        name="system, code to be continued",
        feature="prefill",
        messages=(_GUIDE, *_GREETED, _user("As JSON, please."), _assistant('```json\n{"rooms": [')),
    ),
)
