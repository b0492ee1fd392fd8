"""A search over several prompts: a prompt is one look at the values, however many seeds it has."""

from msgspec.structs import replace

from bus.contracts.definition import Block, Variable
from bus.contracts.fields import VariantValue
from learning_service.experiments.model import SearchState
from learning_service.search.policy import decide
from tests.unit.test_search_policy import FIRST, PLAN, more, peak, search, situation


def test_seeds_of_one_prompt_decide_nothing_for_others() -> None:
    """Ten pictures of each value under one prompt are one look; as seeds without prompts they would decide."""
    blocks = tuple(Block(config={"prompt": prompt}) for prompt in ("a star", "a heart", "a circle"))
    scored = peak(*range(0, 30, 3)) | {(value, 1): 0.3 * (value % 4) for value in FIRST}

    plan = replace(PLAN, variable=Variable(name="steps", values=list(FIRST)), budget=90)

    decision = decide(situation(peak(*range(10)), plan))
    assert isinstance(decision, SearchState)
    assert decision.state == "decided"
    assert more(situation(scored, replace(plan, blocks=blocks))).jobs


def test_a_search_over_prompts_ends_with_what_is_best_for_all() -> None:
    """It looks at all prompts, and at no pair of prompt and seed twice."""
    blocks = tuple(Block(config={"prompt": prompt}) for prompt in ("a star", "a heart", "a circle"))
    plan = replace(PLAN, blocks=blocks, budget=60)

    def score(value: VariantValue, repeat: int) -> float:
        assert isinstance(value, int)
        return -abs(value - 4) + 0.2 * ((value * 7 + repeat * 5) % 3) + 10 * (repeat % 3)

    end, jobs = search(plan, score)

    assert (end.state, "steps 4" in end.reason) == ("decided", True)
    assert {repeat % 3 for _, repeat in jobs} == {0, 1, 2}
    assert len(set(jobs)) == len(jobs) <= 60
