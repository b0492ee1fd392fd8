"""What became of a flipped bit: all is right, the damage is named, or a service refuses its files in a sentence."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tests.bitflips.facts import REFUSED, SILENT, Facts, Key
from tests.bitflips.reference import CANCELLED, OPEN, WAITING

Kind = Literal["right", "named", "refused", "WRONG"]
EXITS: Final = (1, 4)  # of a service that ends for damage, now or at its start; see docs/operations.md
EXIT_REFUSED: Final = 4
SERVICES: Final = ("runner", "learning")
FIRM: Final = {"results", "pictures", "ratings", "comparisons", "rating.list", "output", "thumbnail"}
LOOSE_OF_JOB: Final = {
    "state",
    "attempt",
    "started_at",
    "finished_at",
    "queued_at",
    "faults",
    "waits_for",
    "eta_seconds",
}
FIRM_OF_EXPERIMENT: Final = {"definition", "experiment_name", "variant_value", "variable_under_test"}
OF_RUNNER: Final = {"runner", "job", "job.list", "output", "thumbnail", "queue"}
LISTS: Final = {"job.list": 1, "experiment.list": 1, "results": 2, "pictures": 2, "ratings": 2, "comparisons": 2}
DAMAGE: Final = re.compile(
    r"damage|checksum|corrupt|malformed|lost its end|is not the file|is missing|unreadable|cannot be read|was removed"
)
MISSING: Final = object()
SHORT: Final = 60  # characters of a name or value in a reason


@dataclass
class Ended:
    """How a service ended: its status, what it wrote to stderr, and whether it had to be asked to end."""

    status: int | None
    errors: str
    asked: bool

    @property
    def refused(self) -> bool:
        """Whether it would not go on, in one sentence."""
        sentences = [line for line in self.errors.splitlines() if line.startswith("Error: ")]
        return self.status in EXITS and len(sentences) == 1

    @property
    def names_damage(self) -> bool:
        """Whether its log says that something is damaged."""
        return bool(DAMAGE.search(self.errors))

    def wrongs(self, name: str) -> Iterator[str]:
        """Return what it should not have done."""
        if "Traceback" in self.errors:
            yield f"{name}: a traceback"
        if self.status is None:
            yield f"{name}: it did not end when it was asked to"
        elif not self.refused and (self.status != 0 or not self.asked):
            yield f"{name}: status {self.status} {'when it was asked to end' if self.asked else 'by itself'}"


@dataclass
class Verified:
    """What `variantbus verify` said of the folder before a service opened it."""

    status: int | None
    text: str


@dataclass
class Observed:
    """All that was seen in one trial; `broken`: the questions could not be asked."""

    facts: Facts
    services: dict[str, Ended]
    verified: Verified
    broken: str = ""


@dataclass
class Expected:
    """The facts of the undamaged folder, which of them differ each time, and the heads of the logs before its start."""

    facts: Facts
    heads: dict[str, int]
    epochs: dict[str, list[list[int]]]
    volatile: set[Key] = field(default_factory=set)


@dataclass
class Verdict:
    """The judgement of one trial, and why."""

    kind: Kind
    reasons: Counter[str]


class Judge:
    """Compares what was seen with what is expected."""

    def __init__(self, expected: Expected, observed: Observed) -> None:
        """Judge nothing yet."""
        self.expected, self.observed = expected, observed
        self.wrong: Counter[str] = Counter()
        self.named = any(one.names_damage for one in observed.services.values())

    def verdict(self) -> Verdict:
        """Return the judgement."""
        for name, ended in self.observed.services.items():
            self.wrong.update(ended.wrongs(name))
            if ended.asked and (name, SILENT) in self.observed.facts:
                self.wrong[f"{name}: no answer"] += 1
        if self.observed.broken:
            self.wrong[f"the questions: {self.observed.broken}"] += 1
        else:
            self._compare()
        refused = any(one.refused for one in self.observed.services.values())
        self._check_verified(harmless=not refused and not self.named)
        if self.wrong:
            return Verdict("WRONG", self.wrong)
        kind: Kind = "refused" if refused else "named" if self.named else "right"
        return Verdict(kind, self.wrong)

    def _check_verified(self, *, harmless: bool) -> None:
        """See that `variantbus verify` has named what was not harmless."""
        status, text = self.observed.verified.status, self.observed.verified.text
        if "Traceback" in text or status not in (0, EXIT_REFUSED):
            self.wrong[f"verify: status {status}"] += 1
        elif status == 0 and not harmless:
            self.wrong["verify has found nothing"] += 1

    def _compare(self) -> None:
        for key, value in self.expected.facts.items():
            if key not in self.expected.volatile and self._is_served(key):
                self._compare_one(key, value)
        for key in self.observed.facts:
            known = LISTS.get(key[0])
            if known and key[-1] != REFUSED and len(key) > known and not self._is_known(key[: known + 1]):
                self.wrong[f"{' '.join(key[: known + 1])}: never was there"] += 1

    def _is_known(self, start: Key) -> bool:
        return any(key[: len(start)] == start for key in self.expected.facts)

    def _is_served(self, key: Key) -> bool:
        """Return whether the service that has a fact runs, and the fact is from before the trial."""
        name = "runner" if key[0] in OF_RUNNER else "learning"
        if not self.observed.services[name].asked:
            return False
        if (is_open(key) or key[1] == WAITING) and not self._both_run():
            return False
        if is_open(key) and key[-1] == "revision":
            return False  # it grows with each message, and how many share a transaction differs each time
        if key[1] == "event":
            return int(key[2]) <= self._kept(name)
        if key[1] == "latest":
            return bool(self.expected.facts[key][0] <= self._kept(name))
        return key[0] not in SERVICES

    def _kept(self, name: str) -> int:
        """Return up to which offset the log of a service is the one from before the trial."""
        facts = self.observed.facts
        starts = {
            facts[name, "epochs", number, "0"]: facts[name, "epochs", number, "1"]
            for number in {key[2] for key in facts if key[:2] == (name, "epochs")}
        }
        known = {epoch for epoch, _ in self.expected.epochs[name]}
        later = [start for epoch, start in starts.items() if epoch not in known]
        kept: int = min([self.expected.heads[name], *later])
        return kept

    def _compare_one(self, key: Key, value: Any) -> None:
        found = self.observed.facts.get(key, MISSING)
        if (found == value and type(found) is type(value)) or self._is_newer(key, found):
            return
        what = f"{_thing(key)}: {_short(found)} for {_short(value)}"
        refusal = self._refusal(key)
        if refusal and refusal.startswith("internal"):
            self.wrong[refusal] += 1
        elif (refusal and DAMAGE.search(refusal)) or self._is_listed(key):
            self.named = True
        elif found is not MISSING and is_firm(key):
            self.wrong[what] += 1
        elif key[0] == "job" and is_open(key) and key[-1] == "state":
            self.wrong[what] += 1  # nobody has to do anything for a job that was to run
        elif not self.named:
            self.wrong[f"{_thing(key)}: {refusal or 'other or gone'}, and nobody says so"] += 1

    def _is_newer(self, key: Key, found: Any) -> bool:
        """Return whether a fact is the newest event of a topic, and was published in the trial."""
        return key[1:2] == ("latest",) and found is not MISSING and found[0] > self.expected.heads[key[0]]

    def _refusal(self, key: Key) -> str | None:
        """Return the error that came in place of a fact, or of the thing that it is of."""
        refusals = ((*key[:length], REFUSED) for length in range(1, len(key) + 1))
        return next((self.observed.facts[one] for one in refusals if one in self.observed.facts), None)

    def _is_listed(self, key: Key) -> bool:
        """Return whether a fact is an event which the reply names as damaged."""
        return key[1:2] == ("event",) and (key[0], "damaged", key[2]) in self.observed.facts

    def _both_run(self) -> bool:
        return all(one.asked for one in self.observed.services.values())


def is_firm(key: Key) -> bool:
    """Return whether another value is wrong, whatever is said of it; a missing one may be named.

    A cancel may be lost with the end of the log: a job that ran all the same has another result.
    """
    if key[0] in FIRM or key[1] in ("event", "latest"):
        return True
    if key[0] in ("job", "job.list"):
        return key[2] not in LOOSE_OF_JOB and not (key[2] == "result" and key[1].startswith(CANCELLED))
    return bool(FIRM_OF_EXPERIMENT & set(key)) and key[2] != "recommendation"


def is_open(key: Key) -> bool:
    """Return whether a fact is of the experiment that goes on in the trial."""
    return len(key) > 1 and (key[1] == OPEN or key[1].startswith(f"{OPEN}."))


def _thing(key: Key) -> str:
    """Return what a fact is of, and which field if it is one of few."""
    return " ".join(part[:SHORT] for part in key[: LISTS.get(key[0], 2) + 1])


def _short(value: Any) -> str:
    return "gone" if value is MISSING else repr(value)[:SHORT]
