"""The prompts of an experiment file: in the file itself, or one a line in a file beside it."""

from pathlib import Path

import pytest

from bus.contracts.definition import Block, ExperimentDefinition
from bus.protocol.validation import InvalidInputError
from variantbus.files.prompts import FILE_LIMIT
from variantbus.files.reading import read_experiment, read_job

FILE = """
name = "Prompts"
{prompts}
[variable]
name = "cfg_scale"
values = [1, 2]
"""


def read(folder: Path, prompts: str) -> ExperimentDefinition:
    """Read an experiment file with some lines in it."""
    path = folder / "experiment.toml"
    path.write_text(FILE.format(prompts=prompts), encoding="utf-8")
    return read_experiment(path).definition


def prompts_of(plan: ExperimentDefinition) -> list[object]:
    """Return the prompts of the blocks, which have nothing else."""
    assert [{*block.config} for block in plan.blocks] == [{"prompt"}] * len(plan.blocks)
    return [block.config["prompt"] for block in plan.blocks]


def test_prompts_are_blocks(tmp_path: Path) -> None:
    """Each of the three ways gives the same definition."""
    (tmp_path / "lines.txt").write_bytes(b"a star\nred, blue\n")
    listed = read(tmp_path, 'prompts = ["a star", "red, blue"]')
    tables = '[[blocks]]\nconfig.prompt = "a star"\n[[blocks]]\nconfig.prompt = "red, blue"'

    assert listed == read(tmp_path, 'prompts_file = "lines.txt"') == read(tmp_path, tables)
    assert prompts_of(listed) == ["a star", "red, blue"]


def test_a_block_sets_anything_and_may_have_a_name(tmp_path: Path) -> None:
    """The settings are in a table, as those of the experiment are."""
    plan = read(
        tmp_path, '[[blocks]]\nname = "tall"\nconfig = {height = 96, prompt = "a tower"}\n[[blocks]]\nname = "x"'
    )

    assert plan.blocks == (Block(name="tall", config={"height": 96, "prompt": "a tower"}), Block(name="x"))


@pytest.mark.fault(item="F177")
@pytest.mark.parametrize(
    ("data", "prompts"),
    [
        ("\ufeffa star\r\n\r\n  a heart \r\n".encode(), ["a star", "a heart"]),
        ("\n\n雪 \N{SNOWMAN}".encode(), ["雪 \N{SNOWMAN}"]),
        ("a\N{LINE SEPARATOR}b\n\"q\", 'r'\n".encode(), ["a\N{LINE SEPARATOR}b", "\"q\", 'r'"]),
        (b"x" * 65_536 + b"\n#no comment", ["x" * 65_536, "#no comment"]),
    ],
)
def test_a_file_has_one_prompt_a_line(tmp_path: Path, data: bytes, prompts: list[str]) -> None:
    """Blank lines, a byte order mark and the ends of lines mean nothing; no line is a comment."""
    (tmp_path / "lines.txt").write_bytes(data)

    assert prompts_of(read(tmp_path, 'prompts_file = "lines.txt"')) == prompts


def test_a_file_is_looked_for_beside_the_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command is run; an absolute path is taken as it is."""
    there, elsewhere = tmp_path / "there", tmp_path / "elsewhere"
    there.mkdir()
    elsewhere.mkdir()
    (there / "lines.txt").write_text("a star", encoding="utf-8")
    monkeypatch.chdir(elsewhere)

    assert prompts_of(read(there, 'prompts_file = "lines.txt"')) == ["a star"]
    assert prompts_of(read(elsewhere, f"prompts_file = '{there / 'lines.txt'}'")) == ["a star"]


@pytest.mark.fault(item="F177")
@pytest.mark.parametrize(
    ("prompts", "sentence"),
    [
        ('prompts = "a star"', "prompts: must be a list of texts"),
        ("prompts = []", "prompts: must be a list of texts"),
        ('prompts = ["a", 5]', "prompts #2: must be text, not 5"),
        ('prompts = ["a", " "]', "prompts #2: is empty; write a prompt, or give the empty one as [[blocks]]"),
        ('prompts = ["a", "b", "a"]', "prompts #3: is the same as #1; remove one"),
        (
            'prompts = ["a"]\nprompts_file = "x"',
            "prompts_file: there is prompts already; give one of blocks, prompts, ",
        ),
        ('prompts = ["a"]\n[[blocks]]\nconfig.prompt = "b"', "prompts: there is blocks already"),
        ("prompts_file = 5", "prompts_file: must be the path of a text file"),
        ('prompts_file = ""', "prompts_file: must be the path of a text file"),
        ('prompts_file = "none.txt"', "none.txt: cannot be read (No such file or directory); check prompts_file"),
        ('prompts_file = "."', "cannot be read (Is a directory)"),
        ('prompts_file = "a\\u0000b"', "cannot be read (no path has a NUL)"),
        ('prompts_file = "blank.txt"', "blank.txt: has no prompt; write one a line"),
        ('prompts_file = "latin.txt"', "latin.txt: is not UTF-8; save it as UTF-8"),
        ('prompts_file = "utf16.txt"', "utf16.txt: is not UTF-8; save it as UTF-8"),
        ('prompts_file = "twice.txt"', "twice.txt: line 4: is the same as line 1; remove one"),
        ('prompts_file = "large.txt"', f"large.txt: larger than {FILE_LIMIT} bytes"),
        ('[[blocks]]\nconfig.prompt = "b"\nconfig = 5', "is no valid TOML"),
        ('[[blocks]]\nprompt = "b"', "blocks #1.prompt: a setting of a block is written config.prompt"),
        ("[[blocks]]\nconfig = 5", "blocks #1.config: "),
        ("blocks = [5]", "blocks #1: "),
        ('blocks = "a"', "blocks: "),
    ],
)
def test_what_is_no_prompt_is_refused(tmp_path: Path, prompts: str, sentence: str) -> None:
    """With the file, the key and what to do."""
    for name, data in {
        "blank.txt": b"\xef\xbb\xbf \r\n\n\t\n",
        "latin.txt": "ein Löwe".encode("latin-1"),
        "utf16.txt": "a star".encode("utf-16"),
        "twice.txt": b"a\nb\n\na \n",
        "large.txt": b"x" * (FILE_LIMIT + 1),
    }.items():
        (tmp_path / name).write_bytes(data)

    with pytest.raises(InvalidInputError) as refused:
        read(tmp_path, prompts)

    assert sentence in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_a_file_with_prompts_is_no_job(tmp_path: Path) -> None:
    """It is told what it is."""
    path = tmp_path / "file.toml"
    path.write_text('prompts = ["a"]', encoding="utf-8")

    with pytest.raises(InvalidInputError, match="is the file of an experiment"):
        read_job(path)
