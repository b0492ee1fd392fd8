"""One trial: copy the folder, flip a bit, start both services, ask for everything, end them, and judge."""

import random
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.bitflips.facts import Facts, Reader
from tests.bitflips.forked import Program, in_child
from tests.bitflips.judge import Ended, Expected, Judge, Observed, Verdict, Verified
from tests.bitflips.places import Place, Places
from tests.bitflips.reference import CLOSED, KILLED, Reference
from variantbus.cli.main import main as variantbus

ASK_SECONDS: Final = 20.0
CONTROLS: Final = 3  # runs without a flip, from which is seen what differs each time
MOST_REASONS: Final = 8  # that are shown
VARIANTS: Final = (CLOSED, KILLED)


@dataclass(frozen=True)
class Trial:
    """A trial and what became of it."""

    flip: str  # WORKER/VARIANT/FILE:BYTE:BIT
    kind: str
    seed: int | None
    verdict: Verdict

    def __str__(self) -> str:
        """Return one line, and for a wrong one the reasons."""
        line = f"{self.verdict.kind}: {self.flip}, {self.kind}, seed {self.seed}"
        return "\n  ".join([line, *list(self.verdict.reasons)[:MOST_REASONS]])


class Trials:
    """Trials on one reference."""

    def __init__(self, reference: Reference, name: str) -> None:
        """Learn from the undamaged folder what is expected."""
        self._reference, self._name = reference, name
        self._places = {variant: Places(reference.folder / variant) for variant in VARIANTS}
        self._expected = {variant: self._learn(variant) for variant in VARIANTS}

    def run(self, seed: int, *, real: bool = False) -> Trial:
        """Flip the bit that a seed chooses."""
        chance = random.Random(seed)  # noqa: S311 - it can be repeated
        variant = chance.choice(VARIANTS)
        return self.flip(variant, self._places[variant].choose(chance), seed, real=real)

    def flip(self, variant: str, place: Place, seed: int | None = None, *, real: bool = False) -> Trial:
        """Flip a bit and see what becomes of it; the folder is left as it is then."""
        folder = self._copy(variant)
        place.flip(folder / "data")
        verdict = Judge(self._expected[variant], self._observe(folder, real=real)).verdict()
        flip = f"{self._name}/{variant}/{place.file}:{place.byte}:{place.bit}"
        return Trial(flip, place.kind, seed, verdict)

    def _copy(self, variant: str) -> Path:
        folder = self._reference.folder / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._reference.folder / variant, folder / "data")
        return folder

    def _learn(self, variant: str) -> Expected:
        heads = {name: _head(self._reference.folder / variant, name) for name in ("runner", "learning")}
        epochs = {name: [[_head(self._reference.folder / variant, name, 0), 0]] for name in heads}
        runs: list[Facts] = []
        for _ in range(CONTROLS):
            observed = self._observe(self._copy(variant))
            assert not observed.broken, observed.broken
            runs.append(observed.facts)
            wrong = [reason for name, one in observed.services.items() for reason in one.wrongs(name)]
            assert not wrong, (wrong, observed.services)
            assert observed.verified.status == 0, observed.verified.text
        keys = set().union(*runs)
        volatile = {key for key in keys if any(one.get(key) != runs[0].get(key) or key not in one for one in runs)}
        return Expected(runs[0], heads, epochs, volatile)

    def _observe(self, folder: Path, *, real: bool = False) -> Observed:
        """Start both services, ask for everything, and end them."""
        reference = self._reference
        verify = Program(variantbus, ["verify", str(folder / "data")], "verify", folder)
        verified = Verified(verify.ended(ASK_SECONDS), verify.output() + verify.errors())
        with reference.running(folder / "data", real=real) as programs:
            runs = {name: program.listens() for name, program in programs.items()}
            addresses = {"runner": reference.runner, "learning": reference.learning}
            reader = Reader({name: address if runs[name] else None for name, address in addresses.items()})
            facts: Facts = {}
            broken = ""
            try:
                facts = in_child(partial(reader.read, *reference.known()), ASK_SECONDS)
            except RuntimeError as error:
                broken = str(error)
            ended = {name: _end(program) for name, program in programs.items()}
        return Observed(facts, ended, verified, broken)


def _end(program: Program) -> Ended:
    """End a program that has not ended by itself."""
    before = program.ended(0)
    if before is not None:
        return Ended(before, program.errors(), asked=False)
    status = program.terminate()
    return Ended(status, program.errors(), asked=True)


def _head(folder: Path, name: str, field: int = 1) -> int:
    """Return the epoch (0) or the head (1) that stands in the file beside a log."""
    return int((folder / f"{name}.head").read_text(encoding="ascii").split()[field])
