import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from page_reading import Page, needs_nothing_else, plots

from pipelines.experiments import ledger
from pipelines.report import __main__ as report
from pipelines.report import blocks
from pipelines.report import budgets as report_budgets

ROOT = Path(__file__).parents[2]

METRICS = ("HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10", "NDCG@20")


def entry(model="s4rec", seed=1, level=0.05, valid=0.06, **more):
    """A line whose head users stand 0.02 above all, and tail users 0.01 below."""
    test = {name: level for name in METRICS}
    test |= {f"head/{name}": level + 0.02 for name in METRICS}
    test |= {f"tail/{name}": level - 0.01 for name in METRICS}
    values = {
        "dataset": "beauty",
        "model": model,
        "config": f"{model}_beauty",
        "settings": {},
        "variant": "main",
        "seed": seed,
        "valid": {"NDCG@20": valid},
        "test": test,
        "epochs": 10 + seed,
        "minutes": 20.0,
        "machine": "two cores",
        "code_version": "abc",
        "data_fingerprint": "f00",
        "analysis": {},
    }
    return values | more


@pytest.fixture
def written(tmp_path):
    """Writes the report of some lines; returns its Markdown and its HTML."""

    def write(*lines):
        path = tmp_path / "runs.jsonl"
        path.unlink(missing_ok=True)
        for line in lines:
            ledger.append(path, line)
        output = tmp_path / "out" / "report"
        assert report.main(["--ledger", str(path), "--output", str(output)]) == 0
        return [output.with_suffix(s).read_text("utf-8") for s in (".md", ".html")]

    return write


def keep_map(tmp_path, line, places, is_head):
    path = ledger.ranks_file(tmp_path / "runs.jsonl", line)
    path.parent.mkdir(exist_ok=True)
    users = {"ranks": np.asarray([1, 9]), "is_head": np.asarray([True, False])}
    np.savez(path, **users, map_places=places, map_is_head=is_head)


def section(markdown, heading):
    """From a heading to the next one."""
    start = markdown.index(f"# {heading}\n")
    return re.split(r"\n#+ ", markdown[start:], maxsplit=1)[0]


def rows(markdown, heading):
    """Cells of a section's table, the header first."""
    lines = [x for x in section(markdown, heading).splitlines() if x.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if not row[0].startswith(":--")]


def test_seeds_come_together_as_mean_and_spread(written):
    lines = [entry(seed=seed, level=0.05 + 0.01 * seed) for seed in (1, 2, 3)]
    markdown, page = written(*lines, entry("sasrec", valid=0.07))
    header, first, second = rows(markdown, "Amazon Beauty")
    assert [first[0], second[0]] == ["sasrec", "s4rec"]  # by validation
    cells = dict(zip(header, second, strict=True))
    # 0.06, 0.07, 0.08: mean 0.07, sample standard deviation 0.01.
    assert cells["HR@5"] == cells["NDCG@20"] == "0.0700 ± 0.0100"
    assert cells["head/NDCG@20"] == "0.0900 ± 0.0100"
    assert cells["tail/HR@20"] == "0.0600 ± 0.0100"
    assert cells["head-tail gap NDCG@20"] == "0.0300 ± 0.0000"
    assert cells["seeds"] == "3" and cells["epochs"] == "12 ± 1"
    assert (cells["minutes"], cells["machine"]) == ("20.0 ± 0.0", "two cores")
    assert dict(zip(header, first, strict=True))["HR@5"] == "0.0500"
    assert "0.0700 ± 0.0100" in page


def test_zero_is_zero_however_a_queue_wrote_it(written):
    markdown, _ = written(
        entry(seed=1, level=0.04, settings={"tau": 0, "decoupled": True}),
        entry(seed=2, level=0.06, settings={"tau": 0.0, "decoupled": True}),
        entry(seed=3, level=0.07, settings={"tau": 0, "decoupled": 1}),
    )
    seeds = [row[3] for row in rows(markdown, "Amazon Beauty")[1:]]
    assert sorted(seeds) == ["1", "2"]


def test_the_page_needs_nothing_else(written):
    markdown, page = written(entry(), entry("sasrec", config="<b>&"))
    assert needs_nothing_else(page)
    assert plots(page) and "<b>&" in Page(page).text
    assert "<script" not in markdown


def test_published_figures_stand_beside_and_what_is_passed(written):
    # Above S4Rec's own paper in NDCG@20 (0.0505) and NDCG@5 (0.0348), not in HR@20.
    markdown, _ = written(entry(level=0.0515, valid=0.09), entry(settings={"dim": 8}))
    table = rows(markdown, "Published figures beside")
    found = {row[0]: dict(zip(table[0], row, strict=True)) for row in table[1:]}
    paper = found["S4Rec (to beat)"]
    cells = [paper[name] for name in ("HR@5", "HR@20", "NDCG@5", "NDCG@20")]
    assert cells == ["0.0519", "0.1071", "0.0348", "0.0505"]
    assert paper["source"] == "S4Rec, Table 2"
    assert paper["ours passes it in"] == "NDCG@5, NDCG@20"
    assert found["BPR"]["ours passes it in"] == "HR@5, NDCG@5, NDCG@20"
    assert found["BSARec (to beat)"]["HR@20"] == "0.1373"
    assert found["s4rec, ours"]["HR@5"] == "0.0515"
    assert found["sasrec, ours"]["source"] == "no finished run"


def test_figures_to_beat_are_those_of_the_goal():
    published = yaml.safe_load(blocks.PUBLISHED.read_text())
    names = ("HR@5", "HR@20", "NDCG@5", "NDCG@20")
    targets = {
        (row["dataset"], row["method"]): [row["metrics"].get(name) for name in names]
        for row in published["results"]
        if row.get("target")
    }
    assert targets[("beauty", "ICSRec")] == [0.0698, 0.1298, 0.0494, 0.0663]
    assert targets[("beauty", "BSARec")] == [0.0736, 0.1373, 0.0523, 0.0703]
    five = "BSARec, mean of five seeds"
    assert targets[("beauty", five)] == [0.0730, 0.1354, 0.0523, 0.0699]
    assert targets[("sports", five)] == [0.0417, 0.0858, 0.0288, 0.0412]
    assert targets[("toys", five)] == [0.0799, 0.1424, 0.0574, 0.0751]
    assert targets[("beauty", "WEARec")] == [0.0738, 0.1391, 0.0516, 0.0703]
    assert targets[("sports", "WEARec")] == [0.0433, 0.0895, 0.0302, 0.0433]
    assert targets[("sports", "S4Rec")] == [0.0284, 0.0656, 0.0181, 0.0292]
    assert targets[("sports", "BSARec")] == [0.0426, 0.0858, None, None]
    assert targets[("toys", "S4Rec")] == [0.0586, 0.1148, 0.0407, 0.0565]
    assert targets[("toys", "ICSRec")] == [0.0788, 0.1368, 0.0571, 0.0736]
    assert targets[("ml1m", "S4Rec")] == [0.1557, 0.3547, 0.1012, 0.1570]
    assert targets[("ml1m", "ICSRec")] == [0.2442, 0.4518, 0.1708, 0.2297]
    assert all(row["source"] for row in published["results"])


def test_ablations_stand_beside_the_printed_rows(written):
    lines = [
        entry("sasrec", level=0.041),
        entry(variant="without_gr", settings={"lambda_adv": 0.0}, level=0.042),
        entry(variant="faithful", config="s4rec_paper", level=0.043),
        entry(variant="short", settings={"epochs": 8}, level=0.044),
        entry(variant="short_without_gr", settings={"epochs": 8}, level=0.045),
    ]
    table = rows(written(*lines)[0], "Ablations (Table 3)")
    found = {(row[0], row[1]): row[2:] for row in table[1:]}
    printed = ["-", "0.0487", "0.1035", "0.0329", "0.0480", "-"]
    assert found["S4Rec w/o GR", "published"] == printed
    assert found["S4Rec w/o GR", "ours"] == ["1", *["0.0420"] * 4, "0.0320"]
    assert found["SR only", "ours"][1] == "0.0410"
    assert found["S4Rec", "ours, the paper's setting"][1] == "0.0430"
    assert found["S4Rec", "ours"] == ["no finished run", *["-"] * 5]
    assert found["S4Rec", "ours, 8 epochs"][1] == "0.0440"
    assert found["S4Rec w/o GR", "ours, 8 epochs"][1] == "0.0450"
    assert len(table) == 1 + 6 * 3 + 2


def test_sweeps_are_drawn_in_order(written):
    sizes = {512: 0.05, 32: 0.06, 128: 0.08}
    lines = [
        entry(settings={"num_intents": k}, variant=f"num_intents={k}", level=level)
        for k, level in sizes.items()
    ]
    short = {"num_intents": 32, "epochs": 8}
    short_run = entry(settings=short, variant="short_num_intents=32", epochs=8)
    markdown, page = written(*lines, short_run)
    table = rows(markdown, "Number of prototypes and weights of the terms")
    assert [row[:4] for row in table[1:]] == [
        ["32", "11", "1", "0.0600"],
        ["32", "8", "1", "0.0500"],
        ["128", "11", "1", "0.0800"],
        ["512", "11", "1", "0.0500"],
    ]
    ours, short, published = plots(page)["HR@5 over num_intents, test"]["data"]
    assert (ours["x"], ours["y"]) == (["32", "128", "512"], [0.06, 0.08, 0.05])
    # The run over 8 epochs in a line of its own, and the paper's five beside.
    assert (short["x"], short["y"]) == (["32"], [0.05])
    assert len(published["y"]) == 5


def test_models_are_compared_over_seeds_and_users(written, tmp_path):
    generator = np.random.default_rng(3)
    is_head = np.arange(400) < 80
    lines = {}
    for model, level in (("s4rec", 20), ("sasrec", 40)):
        for seed in (1, 2):
            line = entry(model, seed=seed)
            ranks = generator.integers(1, level, 400).astype(np.uint16)
            lines[model, seed] = (line, ranks)
            file = ledger.ranks_file(tmp_path / "runs.jsonl", line)
            file.parent.mkdir(exist_ok=True)
            np.savez(file, ranks=ranks, is_head=is_head, config=np.asarray("{}"))
    markdown, _ = written(*(line for line, _ in lines.values()))
    header, *table = rows(markdown, "Differences between models")
    found = {tuple(row[4:6]): dict(zip(header, row, strict=True)) for row in table}
    metrics = ("NDCG@5", "NDCG@20", "HR@20", "MRR")
    assert list(found) == [(m, u) for m in metrics for u in ("all", "head", "tail")]
    hits = {
        model: np.mean([lines[model, seed][1] <= 20 for seed in (1, 2)], axis=0)
        for model in ("s4rec", "sasrec")
    }
    difference = hits["s4rec"] - hits["sasrec"]
    whole, tail = found["HR@20", "all"], found["HR@20", "tail"]
    assert (whole["first"], whole["second"]) == ("S4Rec", "SASRec")
    # Epochs are 11 and 12; S4Rec reads a sequence and two views in each.
    assert whole["passes"] == "34 ± 2 / 12 ± 1"
    assert whole["first - second"] == f"{difference.mean():+.4f}"
    assert (tail["N"], tail["first - second"]) == (
        "320",
        f"{difference[~is_head].mean():+.4f}",
    )
    low, high = map(float, whole["95 % interval"].split(" to "))
    assert 0 < low < difference.mean() < high
    level = hits["sasrec"].mean()
    assert whole["relative"] == f"{100 * difference.mean() / level:+.1f} %"
    assert "No finished run of SASRec with view targets" in markdown
    # One rank file less, and nothing is claimed.
    ledger.ranks_file(tmp_path / "runs.jsonl", lines["sasrec", 2][0]).unlink()
    markdown, _ = written(*(line for line, _ in lines.values()))
    assert "ranks of S4Rec or SASRec are not beside the ledger" in markdown


def test_budgets_stand_beside_each_other(written):
    lines = [
        entry(seed=1, epochs=30),
        entry(seed=1, epochs=30, variant="control_views"),
        entry("sasrec", epochs=40),
        entry("s3rec", epochs=18),
        entry("gru4rec", epochs=57, minutes=30.25),
    ]
    markdown, _ = written(*lines)
    header, *table = rows(markdown, "Who was given what")
    found = {tuple(row[:2]): dict(zip(header, row, strict=True)) for row in table}
    passes = {key: row["passes a sample"] for key, row in found.items()}
    # S3-Rec: six epochs of three passes, twelve of one.
    assert passes == {
        ("s4rec", "main"): "90",
        ("s4rec", "control_views"): "90",
        ("sasrec", "main"): "40",
        ("s3rec", "main"): "30",
        ("gru4rec", "main"): "57",
    }
    gru = found["gru4rec", "main"]
    assert (gru["sample"], gru["minutes"], gru["trials"]) == ("sequence", "30.2", "1")


def test_every_model_of_the_readmes_table_has_a_budget():
    text = (ROOT / "README.md").read_text("utf-8")
    table = text[text.index("Amazon Beauty (22,363") :].split("\n\n")[1]
    named = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    ours = {name.strip("*") for name in named if not re.match(r"\*[^*]", name)}
    budgets = yaml.safe_load(report_budgets.BUDGETS.read_text("utf-8"))
    known = {(row["model"], row.get("variant", "main")) for row in budgets}
    of_name = {
        "BPR-MF": ("bpr", "main"),
        "SASRec with view targets": ("s4rec", "control_views"),
    }
    for name in ours:
        model = re.sub("[^a-z0-9]", "", name.lower())
        assert of_name.get(name, (model, "main")) in known


def test_users_stand_by_the_length_of_their_history(written):
    lines = []
    for seed, shift in ((1, 0.0), (2, 0.002)):
        line = entry(seed=seed)
        for quarter in (1, 2, 3, 4):
            line["test"][f"length_q{quarter}/HR@20"] = 0.1 * quarter + shift
            line["test"][f"length_q{quarter}/NDCG@20"] = 0.01 * quarter
        lines.append(line)
    markdown, _ = written(*lines, entry("sasrec"))
    header, row = rows(markdown, "Users by the length of their history")
    found = dict(zip(header, row, strict=True))
    assert (found["model"], found["seeds"]) == ("S4Rec", "2")
    assert found["length_q4/HR@20"] == "0.4010 ± 0.0014"
    assert found["length_q1/NDCG@20"] == "0.0100 ± 0.0000"


def test_head_and_tail_are_drawn_as_bars(written):
    markdown, page = written(entry(level=0.05), entry("sasrec", level=0.04))
    table = rows(markdown, "Head and tail users")
    found = {row[0]: row[1:] for row in table}
    assert found["s4rec, ours"] == ["0.0700", "0.0400", "0.0700", "0.0400"]
    assert found["ICLRec"] == ["0.0662", "0.0459", "0.0440", "0.0297"]
    bars = plots(page)["Head and tail users, test (Fig. 4)"]["data"]
    assert [len(trace["y"]) for trace in bars] == [4] * 5  # five models, four bars


def test_head_rates_are_drawn_as_boxes(written):
    names = ("min", "q25", "median", "q75", "max")

    def probed(model, seed, shift, **more):
        five = [0.05, 0.15, 0.2, 0.25, 0.6]
        found = {
            f"kmeans_head_rate_{name}": value + shift
            for name, value in zip(names, five, strict=True)
        }
        found["probe_auc"] = 0.6 + shift
        return entry(model, seed=seed, analysis=found, **more)

    lines = [probed("s4rec", 1, 0.0), probed("s4rec", 2, 0.02), entry("sasrec")]
    lines.append(probed("s4rec", 1, 0.04, variant="without_gr"))
    markdown, page = written(*lines)
    found = {row[0]: row[1:] for row in rows(markdown, "Length in the clusters")}
    # Two seeds: 0.60 and 0.62; the boxes are means over seeds.
    assert found["S4Rec"] == [
        "0.610 ± 0.014",
        *("0.060", "0.160", "0.210", "0.260", "0.610"),
    ]
    assert found["S4Rec w/o GR"][0] == "0.640"
    assert found["ICLRec"] == [
        "0.674",
        *("0.054", "0.134", "0.164", "0.188", "0.784"),
    ]
    assert "SASRec" not in found
    title = "Share of head users in 128 clusters, test (Fig. 3)"
    boxes = {trace["name"]: trace for trace in plots(page)[title]["data"]}
    assert boxes["S4Rec"]["median"] == [pytest.approx(0.21)]
    ends = [boxes["ICLRec"][key] for key in ("lowerfence", "q1", "q3", "upperfence")]
    assert ends == [[0.054], [0.134], [0.188], [0.784]]


def test_an_empty_ledger_says_what_is_missing(written):
    markdown, page = written()
    assert markdown.count("\nNo finished run.\n") == 4
    table = rows(markdown, "What is missing")
    found = {row[0]: row[1:] for row in table[1:]}
    assert found["beauty_strong"] == [
        "6",
        "0",
        "beauty sasrec sasrec_beauty main (3 seeds); "
        "beauty s4rec s4rec_beauty main (3 seeds)",
    ]
    Page(page)


def test_a_queue_is_counted_off(written):
    off = {"alpha": 0.0, "beta_1": 0.0, "beta_2": 0.0}
    lines = [entry(seed=2), entry(variant="without_csd", settings=off)]
    table = rows(written(*lines)[0], "What is missing")
    found = {row[0]: row[1:] for row in table[1:]}
    assert found["ablations_beauty"][:2] == ["18", "2"]
    assert "without_csd (2 seeds)" in found["ablations_beauty"][2]
    assert found["sweeps_beauty"][1] == "0"


def test_the_same_ledger_gives_the_same_bytes(written):
    lines = [entry(), entry("sasrec")]
    assert written(*lines) == written(*lines)


def test_a_damaged_ledger_is_one_line(tmp_path, capsys):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps({"dataset": "beauty"}) + "\n")
    output = tmp_path / "report"
    assert report.main(["--ledger", str(path), "--output", str(output)]) == 1
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1 and "line 1 must have the fields" in shown
    assert [p.name for p in tmp_path.iterdir()] == ["runs.jsonl"]


def test_maps_are_drawn_with_the_head_share_near_head_users(written, tmp_path):
    # Eleven head users together, and eleven tail users far from them.
    is_head = np.arange(22) < 11
    places = np.stack([np.where(is_head, 0.0, 100.0), np.arange(22) % 11], axis=1)
    keep_map(tmp_path, entry(), places, is_head)
    markdown, page = written(entry())
    _, row = rows(markdown, "Sequence embeddings in the plane")
    assert row == ["S4Rec", "22", "0.500", "1.000"]
    title = "S4Rec: sequence embeddings of some test users (Fig. 1)"
    assert [len(trace["x"]) for trace in plots(page)[title]["data"]] == [11, 11]
    Page(page)


def test_without_maps_the_report_says_so(written):
    markdown, _ = written(entry())
    assert "No run with a map." in section(markdown, "Sequence embeddings in the plane")
