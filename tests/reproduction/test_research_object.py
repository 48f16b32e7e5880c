"""The files that describe the study to others' tools: valid, and true of what lies here."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from rocrate.rocrate import ROCrate

ROOT = Path(__file__).parents[2]
TEXT = {"type": "string", "minLength": 3}

# What CODECHECK's specification 2.0 asks of the authors; a codechecker adds the rest.
CODECHECK = {
    "type": "object",
    "required": ["version", "paper", "manifest", "summary"],
    "properties": {
        "version": {"const": "https://codecheck.org.uk/spec/config/2.0/"},
        "paper": {
            "type": "object",
            "required": ["title", "authors", "reference"],
            "properties": {
                "title": TEXT,
                "authors": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["name"]}},
                "reference": TEXT,
            },
        },
        "summary": TEXT,
        "manifest": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["file", "comment"], "additionalProperties": False,
                      "properties": {"file": {"type": "string", "pattern": "^[^/.]"}, "comment": TEXT}},
        },
    },
}  # fmt: skip

# What the template of ReScience C asks of the authors.
PAIRS = {"type": "array", "minItems": 1, "items": {"type": "object", "minProperties": 1, "maxProperties": 1}}
RESCIENCE = {
    "type": "object",
    "required": [
        "title", "authors", "affiliations", "keywords", "code", "data", "replication", "abstract", "bibliography",
        "type", "domain", "language",
    ],
    "properties": {
        "title": {"type": "string", "pattern": r"^\[(¬)?Re\] "},
        "authors": {"type": "array", "minItems": 1, "items": {"type": "object", "required": ["name", "affiliations"]}},
        "keywords": TEXT,
        "abstract": {"type": "string", "minLength": 200},
        "code": PAIRS,
        "data": PAIRS,
        "replication": PAIRS,
        "type": {"enum": ["Editorial", "Letter", "Replication"]},
        "domain": TEXT,
        "language": TEXT,
    },
    "additionalProperties": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def codecheck():
    return yaml.safe_load((ROOT / "codecheck.yml").read_text())


def test_the_manifest_for_a_codechecker_is_whole(codecheck):
    assert (ROOT / "codecheck.yml").read_text().startswith("---\n"), "the specification asks for the marker"
    jsonschema.validate(codecheck, CODECHECK)


def test_no_check_is_claimed_that_nobody_made(codecheck):
    assert not {"codechecker", "certificate", "report"} & set(codecheck) and "Not checked yet" in codecheck["summary"]


def test_the_manifest_names_all_that_the_generator_makes_and_nothing_else(codecheck, reproduction_page):
    made = {f"docs/{path.name}" for path in reproduction_page.parent.iterdir()}
    named = [entry["file"] for entry in codecheck["manifest"]]
    assert len(named) == len(set(named)) and set(named) == made
    assert all((ROOT / name).is_file() for name in named)


def test_the_metadata_are_those_of_rescience():
    jsonschema.validate(yaml.safe_load((ROOT / "docs" / "metadata.yaml").read_text()), RESCIENCE)


@pytest.mark.parametrize(("schema", "part"), [(CODECHECK, "manifest"), (RESCIENCE, "abstract"), (RESCIENCE, "title")])
def test_a_file_that_lacks_a_part_is_found_out(schema, part, codecheck):
    whole = codecheck if schema is CODECHECK else yaml.safe_load((ROOT / "docs" / "metadata.yaml").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({key: value for key, value in whole.items() if key != part}, schema)


def test_the_research_object_is_read_by_its_own_library_and_every_part_is_here():
    crate = ROCrate(ROOT)
    assert crate.root_dataset["name"] and crate.root_dataset["license"].id == "LICENSE"
    parts = [entity for entity in crate.data_entities]
    assert len(parts) == 11
    for entity in parts:
        assert (ROOT / entity.id).exists(), entity.id
    action = crate.dereference("#reproduce")
    assert action["instrument"].id == "experiments/reproduction/reproduce.sh"
    assert {result.id for result in action["result"]} <= {entity.id for entity in parts}


def test_every_reference_of_the_research_object_is_described():
    graph = json.loads((ROOT / "ro-crate-metadata.json").read_text())["@graph"]
    known = {entity["@id"] for entity in graph} | {"https://w3id.org/ro/crate/1.1"}

    def references(value):
        if isinstance(value, dict):
            return [value["@id"]] if set(value) == {"@id"} else [r for part in value.values() for r in references(part)]
        return [r for part in value for r in references(part)] if isinstance(value, list) else []

    assert len(graph) == len({entity["@id"] for entity in graph})
    for entity in graph:
        assert set(references({k: v for k, v in entity.items() if k != "@id"})) <= known, entity["@id"]


def test_the_ledger_has_the_form_that_its_schema_says():
    schema = json.loads((ROOT / "modern/lens_modern/report/ledger.schema.json").read_text())
    jsonschema.validate(json.loads((ROOT / "docs/ledger.json").read_text()), schema)
