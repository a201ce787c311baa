"""What is made of a GGUF, and where each value comes from."""

import dataclasses

import pytest

from gguf2ollama.chat.choice.candidate import Candidate, TemplateChoice
from gguf2ollama.chat.comparison import Parity, compare
from gguf2ollama.chat.conversation import Conversation, Message
from gguf2ollama.chat.outcome import Rendered
from gguf2ollama.chat.reference_prompt import Claims
from gguf2ollama.errors import UsageProblem
from gguf2ollama.families import detect, load_profiles
from gguf2ollama.memory.context import ContextChoice
from gguf2ollama.modelfiles import Parameter
from gguf2ollama.planning.recipe import plan_recipe
from gguf2ollama.planning.settings import ModelSettings
from gguf2ollama.planning.target import Target
from gguf2ollama.sources.model import Published, Value

TOKENS = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"]

# our own words in ChatML's form, which is what the profile `chatml` stands for
CHATML = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
STRANGE = "{% for message in messages %}[{{ message.role }}] {{ message.content }} ~~ {% endfor %}"

BASE = {
    "general.architecture": "llama",
    "general.license": "apache-2.0",
    "llama.context_length": 8192,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": TOKENS,
    "tokenizer.ggml.eos_token_id": 3,
}
CHAT = BASE | {"tokenizer.chat_template": CHATML}
CONTEXT = ContextChoice(tokens=4096, requested=4096, reason="for the test")


def plan(metadata, *, target=None, projectors=0, choice=None, **settings):
    return plan_recipe(
        metadata,
        detection=detect(metadata, profiles=load_profiles()),
        sources=("./model.gguf",),
        settings=ModelSettings(**{"context": CONTEXT} | settings),
        target=target or Target(),
        projectors=projectors,
        choice=choice,
    )


def test_a_known_template_gets_its_family_template_and_on_old_ollamas_the_stops_of_its_tokens():
    recipe = plan(CHAT, target=Target(version="0.24.0", native_templates=False))
    assert recipe.template_origin == "profile"
    assert "<|im_start|>" in recipe.modelfile.template
    assert recipe.modelfile.stops == ("<|im_end|>",)
    assert "eos_token_id" in recipe.stop_sources["<|im_end|>"]
    assert recipe.modelfile.parameter("num_ctx") == 4096
    assert recipe.parameters["num_ctx"].source == "for the test"
    assert recipe.modelfile.licenses == ("apache-2.0",)
    assert recipe.warnings == ()
    assert plan(CHAT).modelfile.stops == ()


def test_an_unknown_template_is_left_to_the_gguf_and_said_so():
    recipe = plan(BASE | {"tokenizer.chat_template": STRANGE})
    assert (recipe.template_origin, recipe.modelfile.template) == ("native", None)
    assert any("matches no known family" in warning for warning in recipe.warnings)


def test_an_unknown_template_on_an_old_ollama_does_not_become_chatml():
    recipe = plan(
        BASE | {"tokenizer.chat_template": STRANGE}, target=Target(version="0.29.0", native_templates=False)
    )
    assert (recipe.template_origin, recipe.modelfile.template) == ("none", None)
    assert any("0.29.0 cannot use" in warning and "--template" in warning for warning in recipe.warnings)


def test_a_base_model_is_said_to_be_one():
    recipe = plan(BASE)
    assert recipe.modelfile.template == "{{ .Prompt }}"  # without one, llama.cpp renders ChatML
    assert ".System" in plan(BASE, system="Be brief.").modelfile.template
    assert any("looks like a base model" in warning for warning in recipe.warnings)


def test_what_the_authors_wrote_into_the_gguf_goes_before_the_profile_and_the_user_before_both():
    # 0.7 and 1.1 as 32 bits hold them
    metadata = CHAT | {
        "general.sampling.temp": 0.699999988079071,
        "general.sampling.penalty_repeat": 1.10000002384,
    }
    recipe = plan(metadata, parameters=(Parameter(name="repeat_penalty", value=1.2),))
    assert recipe.modelfile.parameter("temperature") == 0.7
    assert recipe.parameters["temperature"].source == "general.sampling.temp in the GGUF"
    assert recipe.modelfile.parameter("repeat_penalty") == 1.2
    assert recipe.parameters["repeat_penalty"].source == "--param"


def test_whole_numbers_stay_whole():
    recipe = plan(CHAT | {"general.sampling.top_k": 20, "general.sampling.penalty_last_n": 64})
    assert (recipe.modelfile.parameter("top_k"), recipe.modelfile.parameter("repeat_last_n")) == (20, 64)


def test_sampling_without_a_parameter_gets_a_warning():
    recipe = plan(CHAT | {"general.sampling.xtc_probability": 0.5})
    assert any("xtc_probability" in warning for warning in recipe.warnings)


def test_stops_of_the_user_stand_instead_of_all_others():
    recipe = plan(CHAT, parameters=(Parameter(name="stop", value="A"), Parameter(name="stop", value="B")))
    assert recipe.modelfile.stops == ("A", "B")
    assert set(recipe.stop_sources.values()) == {"--param"}


def test_template_and_system_of_the_user_go_before_the_family():
    recipe = plan(CHAT, template="{{ .Prompt }}", system="Be brief.", licenses=("MIT",))
    assert (recipe.template_origin, recipe.modelfile.template) == ("user", "{{ .Prompt }}")
    assert (recipe.modelfile.system, recipe.system.source) == ("Be brief.", "--system")
    assert recipe.modelfile.licenses == ("MIT",)


def test_an_empty_system_text_is_none():
    assert plan(CHAT, system="").modelfile.system is None


def test_an_embedding_model_gets_neither_template_nor_stops_nor_sampling():
    recipe = plan(CHAT | {"llama.pooling_type": 1, "general.sampling.temp": 0.5})
    assert recipe.capabilities == ("embedding",)
    assert (recipe.modelfile.template, recipe.modelfile.system, recipe.modelfile.stops) == (None, None, ())
    assert [parameter.name for parameter in recipe.modelfile.parameters] == ["num_ctx", "num_batch"]


@pytest.mark.parametrize("tokens,batch", [(2048, None), (8192, 8192)])
def test_an_embedding_model_takes_texts_as_long_as_its_context(tokens, batch):
    context = ContextChoice(tokens=tokens, requested=tokens, reason="as requested")
    header = CHAT | {"llama.pooling_type": 1}
    found = plan(header, context=context).parameters.get("num_batch")
    assert (found.value if found else None) == batch
    own = plan(header, context=context, parameters=[Parameter(name="num_batch", value=512)])
    assert own.parameters["num_batch"].value == 512


def test_the_batch_of_an_embedding_model_follows_the_context_of_the_user_and_of_the_server():
    header = CHAT | {"llama.pooling_type": 1}
    asked = plan(header, parameters=[Parameter(name="num_ctx", value=6000)])
    assert asked.parameters["num_batch"].value == 6000
    left = plan(header, context=ContextChoice(tokens=None, requested="server", reason="left"))
    assert "num_ctx" not in left.parameters
    assert left.parameters["num_batch"].value == 8192


def test_tokens_that_mtp_layers_predict_are_a_parameter_that_the_user_may_set():
    tokens = Value(value=4, source="MTP layers")
    assert plan(CHAT, draft_tokens=tokens).parameters["draft_num_predict"].value == 4
    own = plan(CHAT, draft_tokens=tokens, parameters=[Parameter(name="draft_num_predict", value=2)])
    assert own.parameters["draft_num_predict"].value == 2


def test_projectors_make_a_model_see():
    assert "vision" in plan(CHAT, projectors=1).capabilities


def test_tools_are_expected_only_where_the_template_prints_them():
    assert "tools" not in plan(CHAT).capabilities
    assert "tools" in plan(CHAT, template="{{ .Tools }}{{ .Prompt }}").capabilities


def test_a_context_that_is_left_to_the_server_is_no_parameter():
    context = ContextChoice(tokens=None, requested="server", reason="as requested")
    assert "num_ctx" not in plan(CHAT, context=context).parameters


# what was chosen by trying

PLAIN = Conversation(name="one turn", messages=(Message(role="user", content="Hi"),))
TOOLS = dataclasses.replace(PLAIN, name="a tool", feature="tools")


def choice(origin="synthesised", *, differing=(), cutting=(), **chosen):
    """Return what was chosen of one way that was tried over two conversations."""
    cases = tuple(
        compare(one, want=Rendered("meant"), got=Rendered("other" if one.name in differing else "meant"))
        for one in (PLAIN, TOOLS)
    )
    candidate = Candidate(origin=origin, why="what was tried", parity=Parity(cases), **chosen)
    return TemplateChoice(
        chosen=candidate,
        others=(),
        reason=f"{candidate.why}: {candidate.parity}",
        claims=Claims(tools=True),
        cutting=cutting,
    )


def test_what_was_chosen_by_trying_goes_before_the_family():
    chosen = choice(go_template="{{ .Tools }}{{ .Prompt }}", capabilities=frozenset({"tools"}))
    recipe = plan(CHAT, choice=chosen)
    assert (recipe.template_origin, recipe.modelfile.template) == ("synthesised", "{{ .Tools }}{{ .Prompt }}")
    assert recipe.template.source == "what was tried: plain 1/1, tools 1/1"
    assert "tools" in recipe.capabilities
    assert recipe.warnings == ()


@pytest.mark.parametrize("origin", ["native", "patched"])
def test_a_chosen_way_without_a_template_leaves_the_family_out(origin):
    recipe = plan(CHAT, choice=choice(origin), target=Target(create_replaces_template=False))
    assert (recipe.template_origin, recipe.modelfile.template) == (origin, None)
    assert recipe.warnings == ()


def test_a_server_that_may_use_its_own_template_gets_a_warning():
    (warning,) = plan(CHAT, choice=choice("native"), target=Target(create_replaces_template=True)).warnings
    assert "a template of its own instead" in warning


def test_conversations_that_render_differently_get_a_warning_by_feature():
    recipe = plan(
        CHAT, choice=choice("native", differing={"a tool"}), target=Target(create_replaces_template=False)
    )
    (warning,) = recipe.warnings
    assert warning.startswith("1 of 1 tools conversations render differently")
    assert warning.endswith(": a tool")


def test_calls_that_the_server_would_not_parse_get_a_warning():
    (warning,) = plan(CHAT, choice=choice(go_template="{{ .Prompt }}", misses_calls=True)).warnings
    assert "will not parse tool calls" in warning


def test_the_users_template_is_named_with_its_scores():
    recipe = plan(CHAT, template="{{ .Prompt }}", choice=choice("user", go_template="{{ .Prompt }}"))
    assert (recipe.template_origin, recipe.template.source) == ("user", "--template: plain 1/1, tools 1/1")


def test_the_users_chat_template_is_named_as_the_users():
    recipe = plan(CHAT, chat_template=CHATML, choice=choice("native"))
    assert recipe.template.source.endswith("(given with --chat-template)")


def test_a_detected_stop_that_would_cut_answers_is_dropped_with_a_warning():
    published = Published(stops={"END": "params of the repository"})
    recipe = plan(CHAT, choice=choice(cutting=("END",)), published=published)
    assert recipe.modelfile.stops == ()
    (warning,) = recipe.warnings
    assert "'END'" in warning
    assert "params of the repository" in warning
    assert "not used" in warning


def test_a_stop_of_the_user_that_would_cut_answers_is_refused():
    stops = (Parameter(name="stop", value="</think>"), Parameter(name="stop", value="END"))
    with pytest.raises(UsageProblem, match="'</think>' would cut answers") as caught:
        plan(CHAT, parameters=stops, choice=choice(cutting=("</think>",)))
    assert "--param" in caught.value.hint
    assert plan(CHAT, parameters=stops[1:], choice=choice(cutting=("</think>",))).modelfile.stops == ("END",)
