"""Three variables and four prompts on the embedded pipeline: what its pictures tell of each is known beforehand."""

from itertools import combinations, product

from bus.contracts.fields import VariantValue
from learning_service.recommendation.evidence import Candidate, Objective, Score
from learning_service.recommendation.recommend import recommend
from pipeline_runner.pipelines.embedded.generate import Settings, generate

PROMPTS = ("a blue star", "a red heart", "a green circle", "a yellow square")
GUIDANCE, STEPS, STRENGTHS = (0.25, 1, 3, 9), (1, 2, 4), (0.3, 0.9)


def test_the_answer_tells_what_matters_what_depends_on_what_and_what_does_nothing() -> None:
    """Guidance decides, and more steps help where there is any; there is no picture that a strength would change."""
    points = list(product(GUIDANCE, STEPS, STRENGTHS))
    scores = [
        Score(
            variant_index=at,
            repeat_index=block,
            score=generate(
                Settings(
                    prompt=prompt, cfg_scale=guidance, steps=steps, denoising_strength=strength, width=24, height=24
                )
            ).prompt_match,
        )
        for at, (guidance, steps, strength) in enumerate(points)
        for block, prompt in enumerate(PROMPTS)
    ]
    values: list[VariantValue] = [
        {"cfg_scale": guidance, "steps": steps, "strength": strength} for guidance, steps, strength in points
    ]
    plan = [Candidate(index=at, value=value) for at, value in enumerate(values)]
    objective = Objective(kind="metric", name="prompt_match")

    made = recommend(scores, plan, objective, "cfg_scale x steps x strength", PROMPTS)

    assert made.effects
    assert made.interactions
    assert [one.name for one in made.effects] == ["cfg_scale", "steps", "strength"]
    guidance, steps, strength = made.effects
    assert guidance.probability > 0.99
    assert steps.probability > 0.9
    assert strength.probability < 0.1
    best = max(guidance.values, key=lambda one: one.mean)
    assert best.value == 1
    assert made.interactions[0].names == ("cfg_scale", "steps")
    assert {one.names for one in made.interactions} == set(combinations(("cfg_scale", "steps", "strength"), 2))
    together, *others = made.interactions
    assert together.share.mean > 5 * max(one.share.mean for one in others)
    assert together.probability > 0.2
    assert max(one.probability for one in others) < 0.05
    assert "cfg_scale matters most" in made.sentence
    assert "strength hardly matters" in made.sentence
    assert made.blocks
    assert [one.name for one in made.blocks] == list(PROMPTS)
