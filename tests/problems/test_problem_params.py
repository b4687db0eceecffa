"""The params of a problem set: which keys go with which source."""

import pytest
import yaml

from ouroboros.errors import InputError
from ouroboros.params import load_params
from ouroboros.problems.params import ProblemsParams, StricterParams, parse_ranges

REVISION = "4bb6404fdc6cacfda99d4ac4205087b89d32030c"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "packaged", "name": "mbpp"}, "source packaged has no set 'mbpp'; name must be"),
        ({"source": "packaged"}, "source packaged has no set None"),
        ({"source": "hub", "name": "starter", "revision": REVISION}, "source hub has no set"),
        ({"source": "hub", "name": "mbpp"}, "source hub needs revision"),
        ({"source": "hub", "name": "mbpp", "revision": "main"}, "40 hexadecimal digits"),
        ({"source": "path"}, "source path needs path"),
        (
            {"source": "packaged", "name": "starter", "path": "x.jsonl"},
            "path goes with source path, not with source packaged; set it to null",
        ),
        ({"source": "packaged", "name": "starter", "sha256": "00"}, "sha256 goes with source path"),
        (
            {"source": "packaged", "name": "starter", "subset": "sanitized"},
            "subset sanitized goes with source hub and name mbpp",
        ),
        ({"source": "packaged", "name": "starter", "limit": 0}, "limit must be 1 or more: 0"),
        ({"source": "packaged", "name": "starter", "visible_tests": -1}, "visible_tests must be 0"),
        ({"source": "packaged", "name": "starter", "ids": "9-1"}, "'9-1' runs backwards"),
        ({"source": "packaged", "name": "starter", "ids": "a"}, "ids must look like 1-60,501-540"),
    ],
)
def test_what_does_not_fit_together(values, message):
    with pytest.raises(InputError) as error:
        ProblemsParams(**values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source": "path"}, "stricter: source path needs path"),
        (
            {"source": "hub", "revision": REVISION},
            "stricter: source hub has no set None; name must",
        ),
        ({"source": "hub", "name": "mbpp", "revision": REVISION}, "be mbppplus or humanevalplus"),
        ({"source": "hub", "name": "mbppplus"}, "stricter: source hub needs revision, a commit of"),
        (
            {"source": "hub", "name": "mbppplus", "path": "x"},
            "stricter: path goes with source path",
        ),
        ({"source": "hub", "name": "mbppplus", "sha256": "0"}, "sha256 goes with source path"),
        ({"source": "path", "path": "x", "max_inputs": 0}, "max_inputs must be 1 or more: 0"),
    ],
)
def test_what_does_not_fit_together_in_stricter(values, message):
    with pytest.raises(InputError) as error:
        StricterParams(**values)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{source: path, path: x, max: 3}", "problems.main.stricter: unknown param 'max'"),
        ("{source: packaged}", "expected one of 'hub', 'path', found 'packaged'"),
        ("{path: x}", "missing param 'source'"),
        ("mbppplus", "problems.main.stricter: expected an object, found str 'mbppplus'"),
    ],
)
def test_a_mistake_in_stricter_names_file_and_key(tmp_path, block, message):
    (tmp_path / "params").mkdir()
    (tmp_path / "params.yaml").write_text("profile: cpu\n")
    (tmp_path / "params" / "cpu.yaml").write_text(
        f"problems: {{main: {{source: packaged, name: starter, stricter: {block}}}}}\n"
    )
    with pytest.raises(InputError) as error:
        load_params("problems.main", ProblemsParams, root=tmp_path)
    assert message in str(error.value)
    assert "cpu.yaml" in str(error.value)


def test_a_set_is_pointed_at_a_file_without_clearing_name_and_revision():
    params = ProblemsParams(
        source="path", name="mbpp", revision=REVISION, path="mbpp.jsonl", sha256="0" * 64
    )
    assert params.path == "mbpp.jsonl"


@pytest.mark.parametrize(
    ("ids", "ranges"),
    [
        (None, ()),
        ("1-60,501-540", ((1, 60), (501, 540))),
        ("7", ((7, 7),)),
        (7, ((7, 7),)),
        (("1-3", 9), ((1, 3), (9, 9))),
        (" 1 - 3 , 5", ((1, 3), (5, 5))),
    ],
)
def test_ranges(ids, ranges):
    assert parse_ranges(ids) == ranges


@pytest.mark.parametrize("ids", ["[1-60, 501-540]", '"1-60,501-540"', "7", "[1, 2]"])
def test_ids_as_yaml_gives_them(tmp_path, ids):
    (tmp_path / "params").mkdir()
    (tmp_path / "params.yaml").write_text("profile: cpu\n")
    (tmp_path / "params" / "cpu.yaml").write_text(
        f"problems: {{main: {{source: packaged, name: starter, ids: {ids}}}}}\n"
    )
    params = load_params("problems.main", ProblemsParams, root=tmp_path)
    assert parse_ranges(params.ids)


@pytest.mark.parametrize("profile", ["cpu", "a100"])
@pytest.mark.parametrize("name", ["main", "transfer"])
def test_both_profiles_load_and_name_every_key_an_override_needs(profile, name, tmp_path, request):
    root = request.config.rootpath
    (tmp_path / "params").mkdir()
    text = (root / "params" / f"{profile}.yaml").read_text()
    (tmp_path / "params" / f"{profile}.yaml").write_text(text)
    (tmp_path / "params.yaml").write_text(f"profile: {profile}\n")
    assert load_params(f"problems.{name}", ProblemsParams, root=tmp_path)
    # `dvc exp run -S` overrides keys that stand in the file.
    keys = {"source", "name", "revision", "path", "sha256", "ids", "limit", "stricter"}
    assert keys <= set(yaml.safe_load(text)["problems"][name])
