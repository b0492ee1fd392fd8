"""A small run of the simulation: probabilities are about true, and good values are found sooner than by plain means."""

from tests.simulation.study import ALL, Calibration, Pace, study_preferences, study_stars


def test_stated_probabilities_on_stars_are_true_and_good_values_are_found_early() -> None:
    """Loose bounds on forty experiments; the larger run of docs/recommendation.md has the figures."""
    study = study_stars(runs=10, seed=1)
    assert study.best.error < 0.05
    assert study.chosen.error < 0.15
    assert sum(study.strong) / len(study.strong) > 0.85
    ours, plain = study.pace[ALL].needed(0.8)
    assert ours < plain
    early = [row for row in study.pace[ALL].rows() if row[0] <= 36]
    assert sum(ours for _count, ours, _plain in early) > sum(plain for _count, _ours, plain in early)


def test_chosen_pairs_find_good_values_sooner_than_chance() -> None:
    """The same of preferences, on fewer experiments."""
    study = study_preferences(runs=3, seed=1)
    assert study.best.error < 0.12
    rows = study.pace[ALL].rows()
    assert sum(ours for _count, ours, _chance in rows) >= sum(chance for _count, _ours, chance in rows)


def test_the_figures_themselves_are_right() -> None:
    """Calibration error and pace of made-up statements come out as by hand."""
    calibration = Calibration(stated=[0.2, 0.2, 0.9, 0.9], true=[0.0, 1.0, 1.0, 1.0])
    assert [count for _stated, _true, count in calibration.table()] == [2, 2]
    assert abs(calibration.error - (0.3 + 0.1) / 2) < 1e-9
    pace = Pace(ours={10: [False, True], 20: [True, True]}, plain={10: [False, False], 20: [False, True]})
    assert pace.needed(0.75)[0] == 15
    assert pace.needed(0.5) == (10, 20)
