"""Find how a template writes calls of tools, by comparing prompts as llama.cpp does.

What it finds is what llama-server reads in answers (``answer_reader``) and holds them to with a grammar. A
template that writes calls in a way that it does not see has its calls unread, and answers with calls fail.

Texts have one character for each byte of their UTF-8 form (``values.as_bytes_text``).

Source: ``analyze_content`` and ``analyze_tools`` in ``common/chat-diff-analyzer.cpp`` of llama.cpp b10488 and
b11095, which do not differ in this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from gguf2ollama._dataclass import dataclass
from gguf2ollama.chat.llamacpp.autoparser import Reasoning, Render
from gguf2ollama.chat.llamacpp.jinja_engine.errors import NotForeseen
from gguf2ollama.chat.llamacpp.jinja_engine.values import as_bytes_text
from gguf2ollama.chat.llamacpp.probe_chats import ANSWER, ARGUMENTS, FUNCTIONS, THOUGHT, USER, probe_tools
from gguf2ollama.chat.llamacpp.segments import WHITE_SPACE, Split, split

__all__ = ["CallForm", "find_call_form", "find_content_marks"]

Mode: TypeAlias = Literal["JSON", "tag with JSON", "tags"]

_VALUES = ("XXXX", "YYYY")
_IDS = ("call00001", "call00002", "call99999")
_USER = {"role": "user", "content": USER}
_MARK = r"(?:<[^>]*>|\[[^\]]*\])"
_SPACE = rf"[{WHITE_SPACE}]*+"
_CAP_STEPS = 50_000_000
# the marks of templates whose answers llama.cpp knows to stand between nothing, whatever its comparisons say
_UNWRAPPED = (
    ("set has_code_interpreter = tools | selectattr(",),
    ("<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>", "<TOOL_RESPONSE>"),
)
_TEXT = rf"(?:(?!{_MARK}).)*+"  # up to the next mark


@dataclass(frozen=True, slots=True, kw_only=True)
class CallForm:
    """How calls are written, as far as llama.cpp sees it.

    Attributes:
        mode: Calls as JSON, a name in a tag with arguments as JSON, or arguments in tags.
        section: What stands before and after all calls.
        call: What stands before and after each.
        is_list: Whether calls stand in a JSON array.
        name_is_key: Whether a call is ``{NAME: arguments}``.
        keys: In JSON, the keys of name, arguments, id and a number of the call, each ``""`` or a path with
            a dot.
        order: Those keys in the order in which they stand.
        name: What stands before and after a name.
        separator: What stands between a name and its arguments.
        closing: What ends a call.
        argument: What stands before and after the name of an argument.
        value: And its value.
        id: What stands before and after an id that stands between name and arguments; ``None`` for none.
        content: What an answer without calls stands between; ``("", "")`` for nothing.
    """

    mode: Mode
    section: tuple[str, str] = ("", "")
    call: tuple[str, str] = ("", "")
    is_list: bool = False
    name_is_key: bool = False
    keys: tuple[str, str, str, str] = ("name", "arguments", "", "")
    order: tuple[str, ...] = ()
    name: tuple[str, str] = ("", "")
    separator: str = ""
    closing: str = ""
    argument: tuple[str, str] = ("", "")
    value: tuple[str, str] = ("", "")
    id: tuple[str, str] | None = None
    content: tuple[str, str] = ("", "")


def find_call_form(
    render: Render, source: str, *, reasoning: Reasoning, has_parallel_calls: bool
) -> CallForm | None:
    """Find how calls are written; ``None`` where no difference is seen between an answer and a call.

    Args:
        render: Renders messages.
        source: The template's text.
        reasoning: How it writes reasoning.
        has_parallel_calls: Whether llama.cpp has seen that it takes several calls in a message.

    Raises:
        NotForeseen: It cannot be told.
    """
    compare = _Comparison(render)
    found = compare([_answer()], [_calls(_call())])
    if found is None or not found.right:
        return None
    text = found.right
    if re.search(rf'[{{:]{_SPACE}"{FUNCTIONS[0]}"', text):
        mode: Mode = "JSON"
    elif re.search(rf'[{{:]{_SPACE}"{ARGUMENTS[0]}"', text):
        mode = "tag with JSON"
    else:
        mode = "tags"
    for mark in (reasoning.start, reasoning.end):
        text = text.replace(mark, "", 1) if mark else text
    form = _json_form(text) if mode == "JSON" else _tag_form(text, mode)
    if mode == "JSON" and has_parallel_calls:
        two = compare([_calls(_call())], [_calls(_call(), _call(1))])
        if two is not None and form.section[0] and form.section[0] in two.right:
            form = replace(form, call=form.section, section=("", ""))
    form = replace(
        form, section=(form.section[0], _trim(form.section[1])), call=(form.call[0], _trim(form.call[1]))
    )
    if mode != "JSON":
        if has_parallel_calls:
            form = _with_marks_of_each_call(form, compare)
        form = _with_function_marks(form, compare)
        if mode == "tags":
            form = _with_value_marks(_with_argument_marks(form, compare), compare)
        form = _with_id_marks(form, compare)
    return _patched(replace(form, content=find_content_marks(render, source, reasoning=reasoning)), source)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Renders two chats that end otherwise, and finds where they differ."""

    render: Render

    def __call__(self, left: Sequence[Mapping[str, Any]], right: Sequence[Mapping[str, Any]]) -> Split | None:
        outputs = self.outputs(left, right)
        return None if outputs is None else split(*outputs)

    def outputs(
        self, left: Sequence[Mapping[str, Any]], right: Sequence[Mapping[str, Any]]
    ) -> tuple[str, str] | None:
        """Return both prompts; ``None`` where the template refuses one.

        Raises:
            NotForeseen: To search them takes too long.
        """
        one, other = (self.render([_USER, *messages], tools=probe_tools()) for messages in (left, right))
        if one is None or other is None:
            return None
        for prompt in (one, other):
            # a mark that does not end is looked for up to the end
            if (prompt.count("<") + prompt.count("[")) * len(prompt) > _CAP_STEPS:
                raise NotForeseen("a template whose prompts have very many marks")
        return as_bytes_text(one), as_bytes_text(other)


def _answer(**more: str) -> dict[str, Any]:
    return {"role": "assistant", "content": ANSWER, **more}


def _calls(*calls: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": list(calls)}


def _call(number: int = 0, *, arguments: Mapping[str, str] | None = None, id_: str = "") -> dict[str, Any]:
    told = dict(zip(ARGUMENTS, _VALUES, strict=True)) if arguments is None else dict(arguments)
    function = {"name": FUNCTIONS[number], "arguments": told}
    return {"id": id_ or _IDS[number], "type": "function", "function": function}


def _trim(text: str) -> str:
    return text.strip(WHITE_SPACE)


def find_content_marks(render: Render, source: str, *, reasoning: Reasoning) -> tuple[str, str]:
    """Find what every answer stands between; ``("", "")`` for nothing.

    Raises:
        NotForeseen: It cannot be told.
    """
    if any(all(mark in source for mark in marks) for marks in _UNWRAPPED):
        return "", ""
    found = _content_marks(_Comparison(render), reasoning)
    is_cohere = "<|CHATBOT_TOKEN|>" in source and "<|END_OF_TURN_TOKEN|>" in source
    return ("<|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>") if is_cohere and not found[0] else found


def _content_marks(compare: _Comparison, reasoning: Reasoning) -> tuple[str, str]:
    call = {
        "id": _IDS[0],
        "type": "function",
        "function": {"name": "test_func", "arguments": {"arg1": "value1"}},
    }
    thought = {"role": "assistant", "content": "", "reasoning_content": THOUGHT}
    tools, thinks = compare([_answer()], [_calls(call)]), compare([_answer()], [thought])
    if tools is None or thinks is None:
        return "", ""
    if _trim(tools.left) == ANSWER:
        if not thinks.left[:1].isspace():
            return "", ""
        behind = rf"{re.escape(reasoning.end)}{_SPACE}{re.escape(ANSWER)}"
        if reasoning.is_found and reasoning.end and re.search(behind, thinks.left):
            return "", ""
    rest = thinks.left
    if reasoning.end and reasoning.end in rest:
        rest = rest.partition(reasoning.end)[2]
    text = rest if len(rest) > len(tools.left) else tools.left
    match = re.search(rf"({_MARK}{_SPACE}){re.escape(ANSWER)}{_SPACE}({_MARK}{_SPACE})", text)
    return (match[1], match[2]) if match else ("", "")


def _json_form(text: str) -> CallForm:
    start, end = max(text.find("{"), 0), text.rfind("}") + 1
    cut = text[start:end]
    keys = _Keys()
    for key, value in json.loads(cut.encode("latin-1")).items():
        keys.add(key, value)
    is_list = False
    if match := re.search(rf"\[{_SPACE}{re.escape(cut)}{_SPACE}\]", text):
        is_list, start, end = True, match.start(), match.end()
    return CallForm(
        mode="JSON",
        section=(text[:start].lstrip(WHITE_SPACE), text[end:]),
        is_list=is_list,
        name_is_key=keys.name_is_key,
        keys=keys.paths(),
        order=tuple(
            path for _, path in sorted((text.find(path), path) for path in keys.found.values() if path)
        ),
    )


class _Keys:
    """The keys of a call that is JSON, by what stands under them."""

    def __init__(self) -> None:
        self.found = {"name": "name", "arguments": "arguments", "id": "", "number": ""}
        self.name_is_key = False
        self._function = "function"

    def add(self, key: str, value: object) -> None:
        """Look at a key of the call."""
        if key == FUNCTIONS[0]:
            self.name_is_key = True
            self.found |= {"name": "", "arguments": ""}
            return
        if isinstance(value, dict) and ARGUMENTS[0] not in json.dumps(value):
            self._function = key
            for inner, one in value.items():
                self._register(f"{key}.{inner}", inner, one)
        self._register(key, key, value)

    def _register(self, path: str, key: str, value: object) -> None:
        if isinstance(value, str) and "call0000" in value:
            self.found["id"] = path
        elif value == FUNCTIONS[0]:
            self.found["name"] = path
        elif ARGUMENTS[0] in json.dumps(value):
            self.found["arguments"] = path
        elif "id" in key:
            self.found["number"] = path

    def paths(self) -> tuple[str, str, str, str]:
        """Return the paths of name, arguments, id and number."""
        name, arguments = self.found["name"], self.found["arguments"]
        if self._function != "function" and "." not in name:
            name, arguments = f"{self._function}.{name}", f"{self._function}.{arguments}"
        return name, arguments, self.found["id"], self.found["number"]


def _tag_form(text: str, mode: Mode) -> CallForm:
    name = re.escape(FUNCTIONS[0])
    tag = re.search(
        rf"(<(?:(?!>|{name}).)*){name}(?!{_SPACE}<)[^>]*>{_SPACE}"
        rf"|(\[(?:(?!\]|{name}).)*){name}(?!{_SPACE}\[[^\]]*\]){_SPACE}",
        text,
        re.DOTALL,
    )
    mark = re.escape(tag[0] if tag else FUNCTIONS[0])
    both = re.search(rf"({_MARK}{_SPACE})({_MARK}{_SPACE})(?:(?!{mark}).)*{mark}(.*)", text, re.DOTALL)
    if both:
        ends = re.search(rf"({_MARK}{_SPACE})({_MARK}{_SPACE})\Z", both[3])
        before = ((tag[1] or tag[2]) if tag else "") or ""
        return CallForm(
            mode=mode,
            section=(both[1], ends[2] if ends else ""),
            call=(both[2], ends[1] if ends else ""),
            name=(before, ""),
        )
    one = re.search(rf"({_MARK}{_SPACE}){mark}(.*)", text, re.DOTALL)
    end = re.search(rf"({_MARK}{_SPACE})\Z", one[2] if one else "")
    return CallForm(mode=mode, section=(one[1] if one else "", end[1] if end else ""))


def _with_marks_of_each_call(form: CallForm, compare: _Comparison) -> CallForm:
    outputs = compare.outputs([_calls(_call())], [_calls(_call(), _call(1))])
    if outputs is None:
        return form
    found = split(*outputs)
    second = split(found.suffix, found.right).right.lstrip(WHITE_SPACE)
    if form.section[0] and second.startswith(form.section[0]):
        form = replace(form, call=form.section, section=("", ""))
    if ending := form.call[1]:
        counts = [output.count(ending) for output in outputs]
        if counts[0] and counts[0] == counts[1]:
            form = replace(form, section=(form.section[0], ending), call=(form.call[0], ""))
    return form


def _with_function_marks(form: CallForm, compare: _Comparison) -> CallForm:
    found = compare([_calls(_call())], [_calls(_call(1))])
    if found is None or FUNCTIONS[0] not in found.left or FUNCTIONS[1] not in found.right:
        return form
    before, after, separator = form.name[0], "", ""
    mark = form.call[0] or form.section[0]
    if mark and mark in found.prefix:
        before = found.prefix[found.prefix.rfind(mark) + len(mark) :]
    if match := re.match(rf"((?:(?!{FUNCTIONS[0]}).)*){FUNCTIONS[0]}({_TEXT})", found.left, re.DOTALL):
        before, after = before + match[1], match[2]
    if form.mode == "tag with JSON":
        if match := re.match(rf"((?:{_MARK}|[^{{\[])*+){_TEXT}{_MARK}", found.suffix, re.DOTALL):
            after += match[1]
    else:
        match = re.match(_TEXT, found.suffix, re.DOTALL)
        text = match[0] if match else ""
        after += text
        argument = rf"{_MARK}{_SPACE}(?:{'|'.join(ARGUMENTS)})"
        rest = found.suffix[len(text) :]
        if match := re.match(rf"((?:(?!{argument}).)*+){argument}", rest, re.DOTALL):
            separator = _trim(match[1])
    return replace(form, name=(before, after), separator=separator, closing=_closing(form, found))


def _closing(form: CallForm, found: Split) -> str:
    """Find what ends a call behind its last argument, before the mark that ends all."""
    if not (mark := form.call[1] or form.section[1]):
        return ""
    _, value, behind = found.suffix.partition(mark)[0].partition(_VALUES[1])
    if not value:
        return ""
    if form.mode == "tags":
        match = re.match(rf"{_SPACE}{_MARK}{_SPACE}", behind)
        return behind[match.end() :].lstrip(WHITE_SPACE) if match else ""
    place = max(behind.rfind("}"), behind.rfind("]"))
    return behind[place + 1 :].lstrip(WHITE_SPACE) if 0 <= place < len(behind) - 1 else ""


def _with_argument_marks(form: CallForm, compare: _Comparison) -> CallForm:
    one, other = ({name: value} for name, value in zip(ARGUMENTS, _VALUES, strict=True))
    found = compare([_calls(_call(arguments=one))], [_calls(_call(arguments=other))])
    if found is None or not found.left or not found.right:
        return form
    sides = [
        re.search(rf'((?:(?!{name}).)*){name}([^"{value[0]}]*)', text, re.DOTALL)
        for text, name, value in zip((found.left, found.right), ARGUMENTS, _VALUES, strict=True)
    ]
    left, right = sides
    if left and right and left[1] and left.groups() == right.groups():
        return replace(form, argument=(left[1], left[2]))
    if not (found.left.startswith(ARGUMENTS[0]) and found.right.startswith(ARGUMENTS[1])):
        return form
    match = re.search(rf"({_MARK}{_TEXT})\Z", found.prefix, re.DOTALL)
    behind = re.search(rf"{_TEXT}{_MARK}{_SPACE}", found.left[len(ARGUMENTS[0]) :] + found.suffix, re.DOTALL)
    return replace(
        form, argument=(match[1] if match else found.prefix, behind[0] if behind else form.argument[1])
    )


def _with_value_marks(form: CallForm, compare: _Comparison) -> CallForm:
    one, other = ({ARGUMENTS[0]: value} for value in _VALUES)
    found = compare([_calls(_call(arguments=one))], [_calls(_call(arguments=other))])
    if found is None or (found.left, found.right) != _VALUES:
        return form
    before = found.prefix
    ending = ARGUMENTS[0] + form.argument[1]
    if ending in before:
        before = before[before.rfind(ending) + len(ending) :]
    if before and (match := re.search(rf"{_MARK}{_TEXT}\Z", before, re.DOTALL)):
        before = match[0]
    after = found.suffix
    mark = form.closing or form.call[1] or form.section[1]
    after = after.partition(mark)[0] if mark else after
    return replace(form, value=(before, after if _trim(after) else ""))


def _with_id_marks(form: CallForm, compare: _Comparison) -> CallForm:
    found = compare([_calls(_call())], [_calls(_call(id_=_IDS[2]))])
    if found is None or not (found.left or found.right):
        return form
    if FUNCTIONS[0] not in found.prefix or FUNCTIONS[0] in found.suffix:
        return form  # before the name, where it is not read
    place = found.prefix.rfind(FUNCTIONS[0])
    if "{" not in found.suffix or "{" in found.prefix[place:]:
        return form
    behind = found.prefix[place + len(FUNCTIONS[0]) :]
    match = re.search(rf"({_MARK})(?:(?!{_MARK}|call).)*call", behind, re.DOTALL)
    marks = re.findall(_MARK, behind)
    before = match[1] if match else marks[-1] if marks else ""
    match = re.search(rf"(?:(?!{_MARK}|\{{).)*({_MARK})", found.suffix, re.DOTALL)
    after = match[1] if match else ""
    if after and form.call[1].startswith(after):
        form = replace(form, call=(form.call[0], ""))
    return replace(form, id=(before, after)) if before and after else form


def _patched(form: CallForm, source: str) -> CallForm:
    """Change what was found where llama.cpp knows better, by marks in the template's text."""
    code_interpreter, special_tokens = _UNWRAPPED
    if all(mark in source for mark in code_interpreter):
        return replace(
            form,
            name=("", form.name[1]),
            section=("", ""),
            call=("<function=", "</function>"),
            closing="",
        )
    if f"{_deepseek('call▁begin')}' + tool['type'] + '{_deepseek('sep')}'" in source:
        return replace(
            form,
            section=(as_bytes_text(_deepseek("calls▁begin")), as_bytes_text(_deepseek("calls▁end"))),
            call=(as_bytes_text(_deepseek("call▁begin") + "function"), as_bytes_text(_deepseek("call▁end"))),
            name=(as_bytes_text(_deepseek("sep")), form.name[1]),
            closing="```",
        )
    if all(mark in source for mark in special_tokens):
        return replace(
            form,
            mode="JSON",
            section=("", ""),
            call=("<TOOLCALL>", "</TOOLCALL>"),
            is_list=True,
        )
    if "laguna_glm_thinking" in source:
        form = replace(form, value=(_trim(form.value[0]), _trim(form.value[1])))
    return form


def _deepseek(name: str) -> str:
    return f"<\uff5ctool▁{name}\uff5c>"
