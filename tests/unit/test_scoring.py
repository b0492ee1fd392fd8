"""What measures pictures, as data: what is refused, what is missing of it, and what two of them make together."""

import pytest
from msgspec.structs import replace

from bus.contracts.scoring import (
    ScoreSettings,
    check_score,
    merged_score,
    metric_names,
    missing_score,
    without_program,
)
from bus.protocol.validation import InvalidInputError

BOTH = ScoreSettings(
    use=("sharpness", "ssim"), options={"ssim": {"reference": "a.png"}}, command=("clip",), metrics=("clip", "look")
)
ALL = {"sharpness": 1.0, "ssim": 0.5, "clip": 0.3, "look": 5.0}


def test_a_scorer_reports_its_name_and_a_program_what_it_says() -> None:
    """No settings have no metrics."""
    assert metric_names(BOTH) == ("sharpness", "ssim", "clip", "look")
    assert metric_names(None) == ()


@pytest.mark.parametrize(
    ("score", "told"),
    [
        (ScoreSettings(), 'score: names nothing; write for example use = ["sharpness"], or a command'),
        (ScoreSettings(command=("x",)), "score.metrics: missing beside command; name which numbers its answers have"),
        (ScoreSettings(metrics=("x",)), "score.use: names nothing"),
        (
            ScoreSettings(use=("noise",), metrics=("x",)),
            "score.command: missing beside metrics; name the program that reports them",
        ),
        (ScoreSettings(command=("",), metrics=("x",)), "score.command: is empty; name a program"),
        (
            ScoreSettings(use=("noise",), options={"nois": {}}),
            "score.options.nois: is none of the scorers in use; did you mean 'noise'?",
        ),
        (ScoreSettings(use=("stars",)), "score.use: 'stars' is an objective of its own; take another name"),
        (
            ScoreSettings(command=("x",), metrics=("loss",)),
            "score.metrics: 'loss' is what the pipeline reports itself; take another name",
        ),
        (ScoreSettings(use=("noise", "noise")), "score.use: 'noise' is there twice"),
    ],
)
def test_what_contradicts_itself_is_refused(score: ScoreSettings, told: str) -> None:
    """With the field, and what to do."""
    with pytest.raises(InvalidInputError) as refused:
        check_score(score, ("loss",))
    assert str(refused.value).startswith(told.replace("score.use: names nothing", "score: names nothing"))


def test_what_fits_is_taken() -> None:
    """Scorers with options, beside a program."""
    check_score(BOTH, ("loss",))


def test_only_what_is_not_there_is_missing() -> None:
    """A number that other options have made is another one; that of another program, too."""
    assert missing_score(BOTH, BOTH, ALL) is None
    assert missing_score(BOTH, None, {}) == BOTH
    other = replace(BOTH, options={"ssim": {"reference": "b.png"}}, command=("blip",))
    assert missing_score(BOTH, other, ALL) == replace(BOTH, use=("ssim",))
    failed = {name: number for name, number in ALL.items() if name != "look"}
    assert missing_score(BOTH, BOTH, failed) == replace(BOTH, use=(), options={})
    assert missing_score(ScoreSettings(use=("ssim",)), None, ALL) == ScoreSettings(use=("ssim",))
    assert missing_score(ScoreSettings(use=("sharpness",)), BOTH, ALL) is None


def test_two_settings_make_one() -> None:
    """Where both have a scorer or a program, the later ones hold."""
    more = ScoreSettings(use=("noise", "ssim"), options={"ssim": {"reference": "b.png"}})

    both = merged_score(BOTH, more)

    assert both.use == ("sharpness", "ssim", "noise")
    assert both.options == {"ssim": {"reference": "b.png"}}
    assert (both.command, both.metrics) == (("clip",), ("clip", "look"))
    assert merged_score(None, more) is more
    assert merged_score(more, BOTH).metrics == BOTH.metrics


def test_a_program_is_left_out_of_what_somebody_else_has_written() -> None:
    """Scorers that the runner has stay."""
    only = ScoreSettings(use=("noise",))
    assert without_program(BOTH) == replace(BOTH, command=(), metrics=())
    assert without_program(replace(BOTH, use=(), options={})) is None
    assert without_program(only) is only
    assert without_program(None) is None
