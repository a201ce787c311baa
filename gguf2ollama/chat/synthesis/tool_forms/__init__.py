"""How a chat template writes tools, the arguments of calls, and results down: typed forms, found by probing.

Each ``find_…`` takes a callable that renders one and the same conversation with what it is given in place of
the tools, the arguments or the result's content. It gives a form, or a :class:`Refusal` with its reason,
after 6 to 500 renders in few batches. A form is a frozen value, held to inputs that it was not learnt from.

- ``form.locate(text, value)`` tells where the value stands in any rendered text, to cut it out as one event;
  what stands around it is literal text. Probe with values that print something: ``{}`` may print nothing.
- ``form.print(value)`` gives what the chat template prints of it.
- ``form.go(expression)`` gives a :class:`GoText`: statements for the place of the event, and the defines that
  they call, to put once at the start of the TEMPLATE (the same name is always the same text, but for
  ``properties``: one tools form in a TEMPLATE). Each statement cuts the white space before itself, and what
  follows the last must do so too. They declare variables ($tool, $number, $key, $value, $first, $more, …),
  most inside a ``range``: put them into a ``range`` or an ``if`` where a name of yours is the same.

:class:`ToolsForm` is over ``$.Tools`` (or another expression), :data:`ArgumentsForm` over
``.Function.Arguments`` of a call, :class:`ResultForm` over ``.Content`` of a result. The name and the id of a
call are texts: events of their own. All inputs are canonical: as Ollama hands them on. Where the authors want
arguments as a text of JSON, the callable makes them so.

``ToolsForm.exceptions`` names the kinds of tools that the chat template prints otherwise than the form, as
"a list of objects". Tools that are written field by field, in a format of the model's own, have no form. Not
seen to, and so exact only where they don't occur: numbers that Go and Python write differently (``1e-07``),
and white space at the ends of a result.
"""

from __future__ import annotations

from gguf2ollama.chat.synthesis.tool_forms.arguments_form import (
    ArgumentsForm,
    EachArgument,
    TextArguments,
    WholeArguments,
)
from gguf2ollama.chat.synthesis.tool_forms.find_arguments import RenderArguments, find_arguments_form
from gguf2ollama.chat.synthesis.tool_forms.go_values import GoDefine, GoText
from gguf2ollama.chat.synthesis.tool_forms.grammar import Refusal
from gguf2ollama.chat.synthesis.tool_forms.result_form import RenderResults, ResultForm, find_result_form
from gguf2ollama.chat.synthesis.tool_forms.tools_form import RenderTools, ToolsForm, find_tools_form

__all__ = [
    "ArgumentsForm",
    "EachArgument",
    "GoDefine",
    "GoText",
    "Refusal",
    "RenderArguments",
    "RenderResults",
    "RenderTools",
    "ResultForm",
    "TextArguments",
    "ToolsForm",
    "WholeArguments",
    "find_arguments_form",
    "find_result_form",
    "find_tools_form",
]
