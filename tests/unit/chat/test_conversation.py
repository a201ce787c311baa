"""A conversation is told to both sides from one value."""

from gguf2ollama.chat.conversation import Conversation, Message, ToolCall

TOOL = {"type": "function", "function": {"name": "look", "description": "", "parameters": {}}}
CALL = ToolCall(name="look", arguments={"at": "é"}, id="abcdefghi")
CONVERSATION = Conversation(
    name="test",
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="user", content="Look."),
        Message(role="assistant", thinking="Hm.", calls=(CALL, ToolCall(name="look", arguments={}))),
        Message(role="tool", content="Seen", tool_name="look", tool_call_id="abcdefghi"),
    ),
    tools=(TOOL,),
    think=False,
)


def test_a_chat_template_is_told_what_transformers_would_tell_it():
    assert CONVERSATION.for_jinja() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Look."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "abcdefghi",
                    "type": "function",
                    "function": {"name": "look", "arguments": {"at": "é"}},
                },
                {"type": "function", "function": {"name": "look", "arguments": {}}},
            ],
            "reasoning_content": "Hm.",
        },
        {"role": "tool", "content": "Seen", "name": "look", "tool_call_id": "abcdefghi"},
    ]


def test_a_chat_template_is_told_it_in_the_forms_that_it_takes():
    system, user, call, result = CONVERSATION.for_jinja(
        thinking_key="thinking", typed_roles={"user", "tool"}, text_arguments=True
    )
    assert system["content"] == "Be brief."
    assert user["content"] == [{"type": "text", "text": "Look."}]
    assert result["content"] == [{"type": "text", "text": "Seen"}]
    assert call["thinking"] == "Hm."
    assert [one["function"]["arguments"] for one in call["tool_calls"]] == ['{"at":"é"}', "{}"]


def test_ollama_is_asked_the_same():
    assert CONVERSATION.for_ollama() == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Look."},
            {
                "role": "assistant",
                "content": "",
                "thinking": "Hm.",
                "tool_calls": [
                    {"id": "abcdefghi", "function": {"name": "look", "arguments": {"at": "é"}}},
                    {"function": {"name": "look", "arguments": {}}},
                ],
            },
            {"role": "tool", "content": "Seen", "tool_name": "look", "tool_call_id": "abcdefghi"},
        ],
        "tools": [TOOL],
        "think": False,
    }


def test_what_is_not_there_is_not_told():
    plain = Conversation(name="plain", messages=(Message(role="user", content=""),))
    assert plain.for_ollama() == {"messages": [{"role": "user", "content": ""}]}
    assert plain.for_jinja() == [{"role": "user", "content": ""}]
