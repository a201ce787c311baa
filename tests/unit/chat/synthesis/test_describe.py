from gguf2ollama.chat.synthesis.describe import describe
from tests.unit.chat.synthesis.families import PLAIN, THINKING


def test_rules_are_told_in_words(learn):
    assert describe(learn(PLAIN["turns"]).rules) == [
        "A message of the user:",
        "  user: '<|im_start|>user\\n' + text + '<|im_end|>\\n'",
        "A message of the system:",
        "  system: '<|im_start|>system\\n' + text + '<|im_end|>\\n'",
        "A message of the assistant:",
        "  assistant: '<|im_start|>assistant\\n' + text + '<|im_end|>\\n'",
        "The model's turn: '<|im_start|>assistant\\n'",
    ]


def test_conditions_are_told_with_what_they_hang_on(learn):
    lines = describe(learn(THINKING["a switch that closes thinking at once"]).rules)
    assert lines[-1].startswith("The model's turn: (")
    assert "where 'think' is off" in lines[-1]
