"""Named SQL."""

from bus.eventlog import schemas, sql


def test_every_statement_of_a_file_is_found_by_its_name() -> None:
    """A name, a sentence, and the statement up to the next name."""
    statements = sql.load("bus.eventlog", "epochs.sql")

    assert {"select_epochs", "upsert_closing"} <= set(statements)
    assert (
        statements["select_closing"] == "-- select_closing: how the log was left.\nSELECT clean, boot_id FROM closing;"
    )
    assert all(text.startswith(f"-- {name}: ") for name, text in statements.items())
    assert all(text.endswith(";") for text in statements.values())


def test_comments_inside_a_statement_do_not_end_it() -> None:
    """The schema has remarks beside its columns."""
    assert "-- 0 -> 1 at an orderly close" in sql.load("bus.eventlog", "log.sql")["schema"]


def test_a_script_is_split_into_its_statements() -> None:
    """A semicolon in a remark ends none, and the last one needs no semicolon."""
    assert list(schemas.split("CREATE TABLE a (b -- c; d\n);\nSELECT 1")) == [
        "CREATE TABLE a (b -- c; d\n);\n",
        "SELECT 1",
    ]
