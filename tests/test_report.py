"""Reports survive JSON, and what is no report is refused with one line."""

import dataclasses
import json

import pytest

from clbench.errors import InputError
from clbench.report import SCHEMA, RunReport


@pytest.fixture
def report() -> RunReport:
    return RunReport(
        config={"strategy": "dam_replay", "seed": 3, "memory": {"capacity_bytes": None}},
        environment={"python": "3.11", "versions": {"torch": "2.13.0"}},
        data={"name": "mnist5k", "fingerprint": "ab12"},
        class_groups=[[0, 1], [2]],
        num_test=[20, 10],
        accuracy_matrix=[[1.0, 0.1 + 0.2], [0.7, 1 / 3]],
        untrained_accuracy=[0.0, 0.25],
        confusion_matrix=[[5, 0, 0], [0, 5, 0], [1, 0, 4]],
        metrics={"average_accuracy": 0.5},
        memory=[{"num_images": 4, "num_bytes": 3136, "per_class": {"0": 2, "1": 2}}],
        distillation=[{"losses": [1.5, 1.25], "scalars": {"b": [0.1, 0.3]}, "flops": 1e9}],
        flops={"train": 1e12},
        notes=["naïve – a subset was used"],
        measured={"seconds": {"total": 1.5}},
    )


def test_round_trip_is_exact(report, tmp_path):
    report.save(tmp_path / "run" / "report.json")
    assert RunReport.load(tmp_path / "run" / "report.json") == report
    assert RunReport.load(tmp_path / "run") == report


def test_saving_twice_gives_the_same_bytes(report, tmp_path):
    report.save(tmp_path / "a.json")
    RunReport.load(tmp_path / "a.json").save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_every_field_is_written(report, tmp_path):
    report.save(tmp_path / "a.json")
    written = json.loads((tmp_path / "a.json").read_text())
    assert list(written) == [field.name for field in dataclasses.fields(RunReport)]
    assert written["schema"] == SCHEMA


def test_a_report_of_before_there_were_curves_loads(report, tmp_path):
    earlier = dataclasses.replace(report, distillation=[{"losses": [1.5], "flops": 1e9}])
    earlier.save(tmp_path / "a.json")
    assert RunReport.load(tmp_path / "a.json").distillation == [{"losses": [1.5], "flops": 1e9}]


def test_nan_is_written_as_null(report, tmp_path):
    broken = dataclasses.replace(report, metrics={"bwt": float("nan")})
    broken.save(tmp_path / "report.json")
    assert "NaN" not in (tmp_path / "report.json").read_text()
    assert RunReport.load(tmp_path).metrics == {"bwt": None}


def test_other_schemas_are_refused(report, tmp_path):
    for schema in (SCHEMA + 1, None):
        file = tmp_path / "a.json"
        file.write_text(json.dumps({**report.to_dict(), "schema": schema}))
        with pytest.raises(InputError, match=f"expected report schema {SCHEMA}, found {schema}"):
            RunReport.load(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"schema": 1}',
        b'{"schema": 1, "surprise": 2}',
    ],
)
def test_what_is_no_report_is_refused_by_name(content, tmp_path):
    file = tmp_path / "report.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"report\.json: expected a clbench report") as error:
        RunReport.load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_truncated_report_is_refused(report, tmp_path):
    file = tmp_path / "report.json"
    report.save(file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match="expected a clbench report"):
        RunReport.load(file)


def test_absence_is_told(tmp_path):
    for path in (tmp_path, tmp_path / "missing.json"):
        with pytest.raises(InputError, match="no report at"):
            RunReport.load(path)
