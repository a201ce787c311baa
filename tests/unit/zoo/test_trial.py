"""What counts as worse than a plain ``create``."""

import pytest

from tests.live.zoo_trial import Built, Outcome, Trial, Verified
from tests.zoo.models import MODELS

MADE, ANSWERED = Outcome(state="made"), Outcome(state="answered", detail="abc")
REFUSED = Outcome(state="refused", code=6, detail="not as meant")
BROKEN = Outcome(state="failed", code=500, detail="llama-server process has terminated")
FORMLESS = Outcome(
    state="failed", code=500, detail="The model produced output that does not match the format"
)
DIFFERS = Verified(prompts="plain 24/25", way="native", plain_faults=("one turn",), code=6)


def trial(built, *, asked=ANSWERED, name="llama", capabilities=frozenset({"completion"})):
    return Trial(
        model=MODELS[name],
        created=MADE,
        asked=asked,
        capabilities=capabilities,
        builds={"link": built},
    )


@pytest.mark.parametrize("asked", [ANSWERED, FORMLESS])
def test_a_refused_build_of_what_runs_plainly_is_a_fault(asked):
    (fault,) = trial(Built(made=REFUSED), asked=asked).faults()
    assert fault.startswith("link: refused 6")


def test_a_refused_build_of_what_does_not_run_plainly_is_none():
    assert list(trial(Built(made=REFUSED), asked=BROKEN).faults()) == []


def test_a_model_that_does_not_answer_where_that_of_plain_create_does_is_a_fault():
    (fault,) = trial(Built(made=MADE, asked=FORMLESS)).faults()
    assert fault.startswith("link: failed 500")
    assert list(trial(Built(made=MADE, asked=FORMLESS), asked=FORMLESS).faults()) == []


def test_usual_prompts_that_differ_are_a_fault_where_nothing_is_said_of_it():
    silent = Built(made=MADE, asked=ANSWERED, verified=DIFFERS, warnings=("3 of 3 prefill conversations …",))
    assert len(list(trial(silent).faults())) == 1
    warned = Built(made=MADE, asked=ANSWERED, verified=DIFFERS, warnings=("1 of 25 plain conversations …",))
    assert list(trial(warned).faults()) == []


def test_what_cannot_be_verified_is_a_fault():
    unverified = Built(made=MADE, asked=ANSWERED, verified=Verified(prompts="has no chats", code=3))
    assert len(list(trial(unverified).faults())) == 1


@pytest.mark.parametrize(
    "verified, faults",
    [
        (Verified(prompts="nothing compared", passed_checks=("embeds", "unit vectors")), []),
        (Verified(prompts="nothing compared"), ["link: verify ends with 0: nothing compared"]),
        (
            Verified(prompts="nothing compared", failed_checks=("embeds: none",), code=6),
            ["link: verify ends with 6: embeds: none"],
        ),
    ],
    ids=["embeds", "was not tried", "fails"],
)
def test_a_model_that_embeds_is_verified_by_that(verified, faults):
    built = Built(made=MADE, asked=ANSWERED, verified=verified)
    assert list(trial(built, name="bert").faults()) == faults


def test_capabilities_that_are_lost_are_named():
    built = Built(made=MADE, asked=ANSWERED, capabilities=frozenset({"completion"}))
    assert list(trial(built, capabilities=frozenset({"completion", "tools"})).losses()) == ["link: tools"]
    assert list(trial(built).losses()) == []
