"""Family profiles as files: what they must hold, and how a wrong one is named."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gguf2ollama.errors import InvalidProfile
from gguf2ollama.families import load_profiles, read_profile
from tests.examples import examples

GOOD = """\
family: test-1.0
title: Test
generic: true
evidence:
  template:
    contains: ["<a>", 'message["role"]']
    lacks: [b]
    transforms: [trim]
    optional_transforms: [upper]
    unreached: [never]
    loose: true
  architectures: [llama]
  tokenizers: [default]
  name: (?i)test
system:
  text: Be.
  source: https://example.org
  pattern: ^(.*)$
parameters:
  temperature:
    value: 0.5
    source: https://example.org/t
  top_k:
    value: 20
    source: https://example.org/k
stops: [</a>]
template: a.gotmpl.j2
switches:
  turned: [x, y]
variables:
  eos: ""
  shown: true
claims: [tools]
known_differences:
  tools-added: Because.
"""


@pytest.fixture
def profile_path(tmp_path):
    (tmp_path / "profiles").mkdir()
    (tmp_path / "chat").mkdir()
    (tmp_path / "chat" / "a.gotmpl.j2").write_text("[[ turned ]][[ eos ]][[ shown ]]{{ .Messages }}")
    return tmp_path / "profiles" / "test.yaml"


def test_everything_that_a_profile_tells_is_read(profile_path):
    profile_path.write_text(GOOD)
    profile = read_profile(profile_path)
    assert (profile.family, profile.title, profile.is_generic) == ("test-1.0", "Test", True)
    assert profile.evidence.contains == ("<a>", "message.role")
    assert profile.evidence.lacks == ("b",)
    assert profile.evidence.transforms == {"trim"}
    assert profile.evidence.optional_transforms == {"upper"}
    assert profile.evidence.unreached == ("never",)
    assert profile.evidence.is_loose
    assert profile.evidence.name.search("A TEST")
    assert (profile.system.text, profile.system.source) == ("Be.", "https://example.org")
    assert [(one.name, one.value) for one in profile.parameters] == [("temperature", 0.5), ("top_k", 20)]
    assert profile.parameters[1].source == "https://example.org/k"
    assert dict(profile.switches) == {"turned": ("x", "y")}
    assert dict(profile.variables) == {"eos": "", "shown": True}
    assert (profile.claims.tools, profile.claims.thinking) == (True, False)
    assert [(one.what, one.why) for one in profile.known_differences] == [("tools-added", "Because.")]
    assert profile.go_template(switches=frozenset({"turned"})) == "TrueTrue{{ .Messages }}"


@pytest.mark.parametrize(
    "change, line, problem",
    [
        (("title: Test", "titel: Test"), 2, "unknown key 'titel'"),
        (("title: Test\n", ""), 1, "missing key 'title'"),
        (("title: Test", "title: ''"), 2, "not empty"),
        (("title: Test", "title: 1"), 2, "expected a string"),
        (("title: Test", "title: Test\ntitle: Test"), 3, "duplicate key 'title'"),
        (("title: Test", "title: *x"), 2, "aliases are not supported"),
        (("family: test-1.0", "family: Test!"), 1, "invalid value 'Test!'"),
        (("generic: true", "generic: maybe"), 3, "true or false"),
        (("lacks: [b]", "lacks: b"), 7, "a list of strings"),
        (("lacks: [b]", "lack: [b]"), 7, "unknown key 'lack'"),
        (("name: (?i)test", "name: (test"), 14, "invalid regular expression"),
        (("  source: https://example.org\n  pattern", "  pattern"), 16, "needs a `source`"),
        (("pattern: ^(.*)$", "pattern: ^.*$"), 18, "exactly one group"),
        (("temperature:", "heat:"), 21, "unknown sampling parameter 'heat'"),
        (("value: 0.5", "value: warm"), 21, "expected a number"),
        (("value: 20", "value: 0b2"), 24, "number"),
        (("    source: https://example.org/t\n", ""), 21, "missing key 'source'"),
        (("turned: [x, y]", "System: [x]"), 29, "invalid template variable"),
        (('eos: ""', "bos: x"), 31, "invalid template variable"),
        (("claims: [tools]", "claims: [sight]"), 33, "unknown capability 'sight'"),
        (("tools-added", "colours-added"), 35, "unknown difference 'colours-added'"),
        (("stops: [</a>]", "stops: [</a>"), 27, "invalid YAML"),
        (("title: Test", "title: !!python/name:os.system x"), 2, "expected a string"),
    ],
)
def test_a_wrong_profile_is_named_with_its_line(profile_path, change, line, problem):
    assert change[0] in GOOD
    profile_path.write_text(GOOD.replace(*change))
    with pytest.raises(InvalidProfile, match=problem) as caught:
        read_profile(profile_path)
    assert str(caught.value).startswith(f"{profile_path}:{line}: ")
    assert caught.value.hint


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\xfd", b"# only\n", b"a: " + b"x" * 100_000, b"[" * 30_000]
)
def test_a_file_that_is_not_a_profile_is_refused(profile_path, content):
    profile_path.write_bytes(content)
    with pytest.raises(InvalidProfile, match=r"test\.yaml"):
        read_profile(profile_path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InvalidProfile, match="cannot read"):
        read_profile(tmp_path / "none.yaml")


def test_a_folder_without_profiles_is_refused(tmp_path):
    with pytest.raises(InvalidProfile, match="no profile"):
        load_profiles(tmp_path)


def test_two_files_of_one_family_are_refused(profile_path):
    profile_path.write_text(GOOD)
    profile_path.with_name("other.yaml").write_text(GOOD)
    with pytest.raises(InvalidProfile, match=r"test-1\.0.*other\.yaml"):
        load_profiles(profile_path.parent.parent)


@settings(max_examples=examples(2.5))
@given(data=st.data())
def test_no_damage_to_a_file_breaks_the_reading(tmp_path_factory, data):
    lines = GOOD.splitlines(keepends=True)
    at = data.draw(st.integers(0, len(lines) - 1))
    change = data.draw(
        st.sampled_from(["", "  " + lines[at], "- x\n", "? [a]\n", lines[at] * 2, "\t\n", "{\n", "!!set x\n"])
    )
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_text("".join([*lines[:at], change, *lines[at + 1 :]]))
    with contextlib.suppress(InvalidProfile):
        assert read_profile(path).family == "test-1.0"
