"""How many people a register loses on the way."""

from tests.lib.examples import EXAMPLES


def test_counts_fall_from_entry_to_register_and_agree_with_the_examples() -> None:
    file = EXAMPLES["registers"]
    (counts,) = file.answers("register_counts")
    own = {(example.practice_code, example.definition) for example in file.examples}
    rows = {row["register"]: row for row in counts.to_dicts() if (row["practice_code"], row["register"]) in own}
    for register, row in rows.items():
        examples = file.of(register)
        assert row["registered"] == len(examples)
        assert row["on_register"] == sum(example.expected is not False for example in examples)
        assert row["recorded"] >= row["unresolved"]
    assert rows["diabetes"]["recorded"] > rows["diabetes"]["unresolved"] > rows["diabetes"]["on_register"]
