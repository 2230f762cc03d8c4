"""A run continues where another one stopped, with everything that belongs to that run."""

from kzoo.training.directory import CONTINUED, continue_from


def test_a_run_is_carried_over_whole_and_once(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after"
    (before / "checkpoint").mkdir(parents=True)
    (before / "checkpoint" / "1.npz").write_text("state")
    files = [name for name in CONTINUED if name != "checkpoint"]
    for name in files:
        (before / name).write_text(name)
    (before / "result.json").write_text("its own")

    continue_from(before, after)
    assert {path.name: path.read_text() for path in after.iterdir() if path.is_file()} == {name: name for name in files}
    assert (after / "checkpoint" / "1.npz").read_text() == "state"

    (after / "metrics.csv").write_text("gone on")
    continue_from(before, after)
    assert (after / "metrics.csv").read_text() == "gone on"
    assert not list(tmp_path.glob(".*"))
