"""Ollama's Go types for messages and tools, as templates see them.

Per version: ``api/types.go`` and, since 0.14, the copies in ``template/template.go``. Unknown keys are
dropped, as Ollama does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from gguf2ollama.gotmpl.values import GoType, Map, Pairs, Pointer, Slice, Struct, Value
from gguf2ollama.gotmpl.versions import Dialect
from gguf2ollama.ollama_template.decoding import (
    ANYTHINGS,
    IMAGES,
    PROPERTY_TYPE,
    STRINGS,
    Decode,
    Member,
    StructReader,
    any_member,
    empty_text,
    nil_slice,
    read_anythings,
    read_array,
    read_images,
    read_integer,
    read_object,
    read_property_type,
    read_strings,
    read_text,
    slice_type,
    string_member,
    struct_reader,
)
from gguf2ollama.ollama_template.go_json import Json, OrderedEntries, as_any, go_bytes, marshal

__all__ = ["Types", "types_of", "typescript_type"]

_TYPESCRIPT = {
    b"string": b"string",
    b"number": b"number",
    b"integer": b"number",
    b"boolean": b"boolean",
    b"array": b"any[]",
    b"object": b"Record<string, any>",
    b"null": b"null",
}


def typescript_type(value: Struct) -> bytes:
    """Return the TypeScript type of a tool's property (``ToTypeScriptType``)."""
    choices = value.fields["AnyOf"].items or []
    if choices:
        return b" | ".join(map(typescript_type, choices))
    types = value.fields["Type"].items or []
    return b" | ".join(_TYPESCRIPT.get(name, b"any") for name in types) or b"any"


class Types:
    """The types of a dialect: decoders of messages and tools to what a template sees."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._property = self._property_reader()
        self.tool = self._tool_reader()
        self.message = self._message_reader()
        tools = "template.templateTools" if dialect.converts else "api.Tools"
        messages = "template.templateMessage" if dialect.converts else "api.Message"
        self._tools = slice_type(tools, self.tool.zero, text=marshal)
        self._messages = slice_type(f"[]*{messages}", lambda: Pointer(self.message.type, None))

    def tools(self, value: Json) -> Slice:
        """Read ``tools``; ``None`` is no tools."""
        if value is None:
            return Slice(self._tools, None)
        read = [
            self.tool.zero() if tool is None else self.tool(tool, f"tools[{at}]")
            for at, tool in enumerate(read_array(value, "tools"))
        ]
        return Slice(self._tools, read)

    def messages(self, values: Sequence[Struct]) -> Slice:
        """Return messages as a template sees them: pointers to structs."""
        return Slice(
            self._messages, [Pointer(message.type, message) for message in values] if values else None
        )

    def _name(self, name: str, copy: str) -> str:
        return f"template.{copy}" if self._dialect.converts else f"api.{name}"

    # Tools.

    def _property_reader(self) -> StructReader:
        known = self._dialect
        if not known.has_schemas:
            return struct_reader(
                _FLAT_PROPERTY,
                [
                    string_member("Type", "type"),
                    string_member("Description", "description"),
                    Member(
                        name="Enum",
                        key="enum",
                        decode=read_strings,
                        zero=nil_slice(STRINGS),
                        omits_empty=True,
                    ),
                ],
            )
        choices = slice_type("[]api.ToolProperty", self._zero_property)
        members = [
            Member(
                name="Type",
                key="type",
                decode=read_property_type,
                zero=nil_slice(PROPERTY_TYPE),
                omits_empty=known.omits_empty,
            ),
            any_member("Items", "items"),
            string_member("Description", "description", omits_empty=known.omits_empty),
            Member(
                name="Enum", key="enum", decode=read_anythings, zero=nil_slice(ANYTHINGS), omits_empty=True
            ),
        ]
        if not known.has_levels:
            return struct_reader(_ANONYMOUS_PROPERTY, members)

        def any_of(value: Json, path: str) -> Slice:
            return Slice(
                choices,
                [
                    self._property(choice, f"{path}[{at}]")
                    for at, choice in enumerate(read_array(value, path))
                ],
            )

        members.insert(
            0, Member(name="AnyOf", key="anyOf", decode=any_of, zero=nil_slice(choices), omits_empty=True)
        )
        if known.has_nested_properties:
            members.append(self._nested_properties())
        if known.has_nested_required:
            members.append(_required(omits_empty=True))
        return struct_reader("api.ToolProperty", members, methods={"ToTypeScriptType": typescript_type})

    def _nested_properties(self) -> Member:
        if self._dialect.converts:
            return _properties(self._ordered_properties, lambda: Pointer(_ORDERED, None))
        type_ = self._properties_type("map[string]api.ToolProperty")
        return _properties(self._properties_decoder(type_), lambda: Map(type_, None))

    def _ordered_properties(self, value: Json, path: str) -> Pointer:
        read = {
            go_bytes(key): self._nested(schema, f"{path}.{key}")
            for key, schema in read_object(value, path).items()
        }
        return Pointer(_ORDERED, OrderedProperties(read))

    def _zero_property(self) -> Struct:
        return self._property.zero()

    def _nested(self, value: Json, path: str) -> Struct:
        return self._property.zero() if value is None else self._property(value, path)

    def _properties_type(self, name: str, **methods: Value) -> GoType:
        return GoType(name=name, kind="map", zero=self._zero_property, **methods)

    def _properties_decoder(self, type_: GoType) -> Decode:
        def decode(value: Json, path: str) -> Map:
            read = {
                go_bytes(key): self._nested(schema, f"{path}.{key}")
                for key, schema in read_object(value, path).items()
            }
            return Map(type_, read)

        return decode

    def _tool_reader(self) -> StructReader:
        known = self._dialect
        if known.converts:
            properties = self._properties_type("template.templateProperties", text=_text_of_map)
        elif known.has_levels:
            properties = self._properties_type("map[string]api.ToolProperty")
        else:
            properties = self._properties_type(f"map[string]{self._property.type.name}")
        members = [
            string_member("Type", "type"),
            *((any_member("Defs", "$defs"), any_member("Items", "items")) if known.has_schemas else ()),
            _required(omits_empty=known.has_call_ids),
            Member(
                name="Properties",
                key="properties",
                decode=self._properties_decoder(properties),
                zero=lambda: Map(properties, None),
            ),
        ]
        if known.has_levels:
            methods = {} if known.converts else {"text_of_pointer": marshal}
            parameters = struct_reader(
                self._name("ToolFunctionParameters", "templateToolFunctionParameters"), members, **methods
            )
        else:
            parameters = struct_reader(
                _ANONYMOUS_PARAMETERS if known.has_schemas else _FLAT_PARAMETERS, members
            )
        return self._tool_around(parameters)

    def _tool_around(self, parameters: StructReader) -> StructReader:
        known = self._dialect
        # the copies always have a description, those of the API omit an empty one
        omits_description = known.omits_empty and not known.converts
        function = struct_reader(
            self._name("ToolFunction", "templateToolFunction"),
            [
                string_member("Name", "name"),
                string_member("Description", "description", omits_empty=omits_description),
                Member(name="Parameters", key="parameters", decode=parameters, zero=parameters.zero),
            ],
            text_of_pointer=None if known.converts else marshal,
        )
        return struct_reader(
            self._name("Tool", "templateTool"),
            [
                string_member("Type", "type"),
                *((any_member("Items", "items"),) if known.has_schemas else ()),
                Member(name="Function", key="function", decode=function, zero=function.zero),
            ],
            text=marshal if known.prints_tools_as_json else None,
        )

    # Messages.

    def _message_reader(self) -> StructReader:
        known = self._dialect
        call = self._call_reader()
        prefix = "template.template" if known.converts else "api."
        calls = slice_type(f"[]{prefix}ToolCall", call.zero)

        def tool_calls(value: Json, path: str) -> Slice:
            read = [
                call.zero() if item is None else call(item, f"{path}[{at}]")
                for at, item in enumerate(read_array(value, path))
            ]
            return Slice(calls, None if known.converts and not read else read)

        members = [
            Member(name="Role", key="role", decode=_role, zero=empty_text),
            string_member("Content", "content"),
            *((string_member("Thinking", "thinking", omits_empty=True),) if known.has_thinking else ()),
            Member(name="Images", key="images", decode=read_images, zero=nil_slice(IMAGES), omits_empty=True),
            Member(
                name="ToolCalls", key="tool_calls", decode=tool_calls, zero=nil_slice(calls), omits_empty=True
            ),
        ]
        if known.has_tool_names:
            members.append(string_member("ToolName", "tool_name", omits_empty=True))
        if known.has_call_ids:
            members.append(string_member("ToolCallID", "tool_call_id", omits_empty=True))
        return self._seen("Message", "templateMessage", members)

    def _call_reader(self) -> StructReader:
        known = self._dialect
        if known.converts:
            arguments = GoType(name="template.templateArgs", kind="map", text=_text_of_map)
        else:
            arguments = GoType(name="api.ToolCallFunctionArguments", kind="map", text_of_pointer=marshal)

        def decode(value: Json, path: str) -> Map:
            return Map(arguments, as_any(dict(read_object(value, path)), path=path))

        index = Member(
            name="Index", key="index", decode=read_integer, zero=lambda: 0, omits_empty=not known.omits_empty
        )
        function = self._seen(
            "ToolCallFunction",
            "templateToolCallFunction",
            [
                index,
                string_member("Name", "name"),
                Member(name="Arguments", key="arguments", decode=decode, zero=lambda: Map(arguments, None)),
            ],
        )
        members = [Member(name="Function", key="function", decode=function, zero=function.zero)]
        if known.has_call_ids:
            members.insert(0, string_member("ID", "id", omits_empty=True))
        return self._seen("ToolCall", "templateToolCall", members)

    def _seen(self, name: str, copy: str, members: Sequence[Member]) -> StructReader:
        """Return the decoder of a struct; its copy for templates has field names as JSON keys."""
        reader = struct_reader(self._name(name, copy), members)
        if not self._dialect.converts:
            return reader
        tags = {member.name: (member.name, "") for member in members}
        return StructReader(GoType(name=reader.type.name, kind="struct", tags=tags), members)


def _text_of_map(value: Map) -> bytes:
    return b"{}" if value.entries is None else marshal(value)


def _role(value: Json, path: str) -> bytes:
    return go_bytes(read_text(value, path).decode().lower())


def _properties(decode: Decode, zero: Callable[[], Value]) -> Member:
    return Member(name="Properties", key="properties", decode=decode, zero=zero, omits_empty=True)


def _required(*, omits_empty: bool) -> Member:
    return Member(
        name="Required", key="required", decode=read_strings, zero=nil_slice(STRINGS), omits_empty=omits_empty
    )


class OrderedProperties(Struct):
    """A ``ToolPropertiesMap``: properties in the order of the request."""

    __slots__ = ("entries",)

    def __init__(self, entries: dict[bytes, Value]) -> None:
        super().__init__(_ORDERED, {"om": Pointer(_ORDERED_MAP, Struct(_ORDERED_MAP, {}))})
        self.entries = entries


def _entries(value: OrderedProperties | None) -> dict[bytes, Value] | None:
    return value.entries if value is not None else None


_ORDERED_MAP = GoType(name="orderedmap.Map[string,github.com/ollama/ollama/api.ToolProperty]", kind="struct")
_PLAIN_PROPERTIES = GoType(name="map[string]api.ToolProperty", kind="map")
_WALK = GoType(name="iter.Seq2[string,github.com/ollama/ollama/api.ToolProperty]", kind="func")
_ORDERED = GoType(
    name="api.ToolPropertiesMap",
    kind="struct",
    methods={
        "All": lambda value: Pairs(_WALK, _entries(value) or {}),
        "Len": lambda value: len(_entries(value) or {}),
        "ToMap": lambda value: Map(_PLAIN_PROPERTIES, _entries(value)),
    },
    marshal=lambda value: OrderedEntries(value.entries),
)
_ANONYMOUS_PROPERTY = (
    'struct { Type api.PropertyType "json:\\"type\\""; Items interface {} "json:\\"items,omitempty\\"";'
    ' Description string "json:\\"description\\""; Enum []interface {} "json:\\"enum,omitempty\\"" }'
)
_ANONYMOUS_PARAMETERS = (
    'struct { Type string "json:\\"type\\""; Defs interface {} "json:\\"$defs,omitempty\\"";'
    ' Items interface {} "json:\\"items,omitempty\\""; Required []string "json:\\"required\\"";'
    f' Properties map[string]{_ANONYMOUS_PROPERTY} "json:\\"properties\\"" }}'
)
_FLAT_PROPERTY = (
    'struct { Type string "json:\\"type\\""; Description string "json:\\"description\\"";'
    ' Enum []string "json:\\"enum,omitempty\\"" }'
)
_FLAT_PARAMETERS = (
    'struct { Type string "json:\\"type\\""; Required []string "json:\\"required\\"";'
    f' Properties map[string]{_FLAT_PROPERTY} "json:\\"properties\\"" }}'
)


@lru_cache(maxsize=16)
def types_of(dialect: Dialect) -> Types:
    """Return the types of a dialect."""
    return Types(dialect)
