import pytest

from pipelines.demo.tables import last_json_object, metrics_table, recommendations


def test_last_line_is_taken():
    output = 'table {"HR@5": 1}\nmore\n{"HR@5": 0.25, "head/HR@5": null}\n'
    assert last_json_object(output) == {"HR@5": 0.25, "head/HR@5": None}


@pytest.mark.parametrize("output", ["", "table\n", "[1, 2]\n", '{"a": 1}\ndone\n'])
def test_another_last_line_is_an_error(output):
    with pytest.raises(ValueError, match="the last line must be a JSON object"):
        last_json_object(output)


def test_table_has_a_row_a_model_and_the_slices_side_by_side():
    rows = {
        "popularity": {"HR@5": 0.5, "HR@20": 0.75, "head/NDCG@5": 0.125},
        "S4Rec": {"tail/NDCG@20": 0.0625, "tail/HR@5": None},
    }
    lines = metrics_table(rows).splitlines()
    slices = [part.strip() for part in lines[0].split("|")]
    assert slices == ["", "overall", "head", "tail"]
    assert (
        lines[1].split() == ["model"] + ["|", "HR@5", "NDCG@5", "HR@20", "NDCG@20"] * 3
    )
    popularity = ["popularity", "|", "0.5000", "-", "0.7500", "-", "|", "-", "0.1250"]
    assert lines[3].split() == [*popularity, "-", "-", "|", "-", "-", "-", "-"]
    assert lines[4].split()[-4:] == ["-", "-", "-", "0.0625"]
    assert len({len(line) for line in lines}) == 1


def test_recommendations_name_user_history_and_scores():
    text = recommendations(
        "A1", ["old", "b", "c"], [("x", 1.5), ("y", -0.25)], {"b": "3", "x": "12"}, 2
    )
    assert text.splitlines() == [
        "user A1: the last 2 of 3 items, oldest first",
        "      b  (planted intent  3)",
        "      c",
        "recommended, best first, with scores",
        "   1. x  (planted intent 12)  1.5000",
        "   2. y  -0.2500",
    ]
