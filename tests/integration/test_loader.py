# SPDX-License-Identifier: Apache-2.0
"""What `tipstaff rules validate` says of a file: the code, the item, the place, and what is wrong, as text and as JSON.

The cases are those of the language's own loader suite that need no recorded events, by their names there; the files are
made for this. A way is what stands between the file and the message: each step with its line and column, from 0. What a
message has to say is a pattern of ours: the meaning counts, not the words of others.
"""

import json
import re
import subprocess
from dataclasses import dataclass

import pytest

pytestmark = pytest.mark.not_in_vm("the CLI alone: no kernel is asked")

COND = "LOAD_ERR_COMPILE_CONDITION"
OUTPUT = "LOAD_ERR_COMPILE_OUTPUT"
PARSE = "LOAD_ERR_YAML_PARSE"
YAML = "LOAD_ERR_YAML_VALIDATE"
VALIDATE = "LOAD_ERR_VALIDATE"
NO_TYPE = "LOAD_NO_EVTTYPE"
SOURCE = "LOAD_UNKNOWN_SOURCE"
FILTER = "LOAD_UNKNOWN_FILTER"

PHRASES = {
    COND: "Error compiling condition", OUTPUT: "Error compiling output", PARSE: "YAML parse error",
    YAML: "Error validating internal structure of YAML file",
    VALIDATE: "Error validating rule/macro/list/exception objects",
    NO_TYPE: "Condition has no event-type restriction", SOURCE: "Unknown event source",
    FILTER: "Unknown field or event-type in condition or output", "LOAD_UNUSED_MACRO": "Unused macro",
    "LOAD_UNUSED_LIST": "Unused list", "LOAD_DEPRECATED_ITEM": "Used deprecated item",
    "LOAD_APPEND_NO_VALUES": "Overriding/appending with no values", "LOAD_UNKNOWN_KEY": "Unknown key in item definition",
}


@dataclass
class Says:
    code: str
    way: str
    what: str
    file: int = 0


def rule(condition="evt.type = openat", name="door", output="x", more=""):
    return f"- rule: {name}\n  desc: d\n  condition: {condition}\n  output: {output}\n  priority: NOTICE\n{more}"


def exception(*lines, then=""):
    return rule(more="  exceptions:\n    - " + "\n      ".join(lines) + "\n") + then


def appended(*lines):
    """An exception `known` of one pair, and then what another item appends to the rule's exceptions."""
    return exception("name: known", "fields: [proc.name, fd.name]", "values: [[cat, /a]]",
                     then="- rule: door\n  append: true\n  exceptions:\n    - " + "\n      ".join(lines) + "\n")


MACRO = "- macro: opens\n  condition: evt.type = openat\n"
# Where the exception of exception() and the one of appended() stand.
FIRST, SECOND = "rule 'door' 0:2 | exception{} 6:6", "rule 'door' 9:2 | exception{} 12:6"
DEPRECATED = Says("LOAD_DEPRECATED_ITEM", "rule 'door' 9:2", "'append'.*override")

CASES = {
    # what a file is made of
    "EngineVersionMismatch": (["- required_engine_version: 99.0.0\n"],
                              [Says(VALIDATE, "required_engine_version 0:2", r"requires engine version 99\.0\.0.*this is")]),
    "InvalidNotYaml": (["some words, and no list\n"], [Says(YAML, "", "must be a list of items")]),
    "InvalidNotArray": (["rule: door\n"], [Says(YAML, "", "must be a list of items")]),
    "InvalidArrayItemNotObject": (["- door\n"], [Says(YAML, "rules content item 0:2", "must be a map of keys")]),
    "InvalidYamlParseError": (["- rule: door\n  desc: [a, b\n"], [Says(PARSE, "value for 2:0", "expected")]),
    "InvalidEngineVersionNotNumber": (["- required_engine_version: many\n"],
                                      [Says(YAML, "required_engine_version 0:2", r"must be a version \(0\.57\.0\)")]),
    "InvalidMissingRuleName": (["- rule:\n  desc: d\n"], [Says(YAML, "rule 0:2", "'rule' must be .* not empty")]),
    "InvalidMissingMacroName": (["- macro:\n  condition: evt.num = 1\n"],
                                [Says(YAML, "macro 0:2", "'macro' must be .* not empty")]),
    "InvalidMissingListName": (["- list:\n  items: [a]\n"], [Says(YAML, "list 0:2", "'list' must be .* not empty")]),
    "InvalidRuleWithoutOutput": (["- rule: door\n  desc: d\n  condition: evt.type = openat\n  priority: NOTICE\n"],
                                 [Says(YAML, "rule 'door' 0:2", "has no key 'output'")]),
    "InvalidRuleOutput": ([rule(output='"seen %no.such"')],
                          [Says(OUTPUT, "rule 'door' 0:2 | rule output 3:10", "no such field")]),
    "InvalidMacroWithoutCondition": (["- macro: opens\n"], [Says(YAML, "macro 'opens' 0:2", "has no key 'condition'")]),
    "InvalidListWithoutItems": (["- list: doors\n"], [Says(YAML, "list 'doors' 0:2", "has no key 'items'")]),
    "InvalidAppendRuleWithoutCondition": ([rule() + "- rule: door\n  append: true\n"],
                                          [Says("LOAD_DEPRECATED_ITEM", "rule 'door' 5:2", "'append'.*override"),
                                           Says(VALIDATE, "rule 'door' 5:2", "needs 'condition' or 'exceptions'")]),
    # a change that breaks what was there: in the next file, and in the next document
    "InvalidAppendRule": ([rule(), "- rule: door\n  condition: proc.name = cat\n  append: true\n"],
                          [Says("LOAD_DEPRECATED_ITEM", "rule 'door' 0:2", "'append'.*override", 1),
                           Says(COND, "rule 'door' 0:2 | rule condition 2:13 | condition expression 3:32", "expected 'and', 'or'", 1)]),
    "InvalidAppendRuleMultipleDocs": ([rule() + "---\n- rule: door\n  condition: proc.name = cat\n  append: true\n"],
                                      [Says("LOAD_DEPRECATED_ITEM", "rule 'door' 6:2", "'append'.*override"),
                                       Says(COND, "rule 'door' 0:2 | rule condition 2:13 | condition expression 3:32",
                                            "expected 'and', 'or'")]),
    "InvalidAppendMacro": ([MACRO, "- macro: opens\n  condition: proc.name = cat\n  append: true\n"],
                           [Says("LOAD_UNUSED_MACRO", "macro 'opens' 0:2", "not used by any"),
                            Says("LOAD_DEPRECATED_ITEM", "macro 'opens' 0:2", "'append'.*override", 1),
                            Says(COND, "macro 'opens' 0:2 | macro condition 1:13 | condition expression 2:32", "expected 'and', 'or'", 1)]),
    "InvalidAppendMacroMultipleDocs": ([MACRO + "---\n- macro: opens\n  condition: proc.name = cat\n  append: true\n"],
                                       [Says("LOAD_DEPRECATED_ITEM", "macro 'opens' 3:2", "'append'.*override"),
                                        Says(COND, "macro 'opens' 0:2 | macro condition 1:13 | condition expression 2:32",
                                             "expected 'and', 'or'")]),
    "InvalidOverwriteRule": ([rule(), rule("evt.type = openat and nobody")],
                             [Says(VALIDATE, "rule 'door' 0:2 | condition expression 1:25", "undefined macro 'nobody'", 1)]),
    "InvalidOverwriteRuleMultipleDocs": ([rule() + "---\n" + rule("evt.type = openat and nobody")],
                                         [Says(VALIDATE, "rule 'door' 6:2 | condition expression 7:25", "undefined macro 'nobody'")]),
    "InvalidOverwriteMacro": ([MACRO, MACRO.replace("openat", "openat and nobody")],
                              [Says("LOAD_UNUSED_MACRO", "macro 'opens' 0:2", "not used by any"),
                               Says(VALIDATE, "macro 'opens' 0:2 | condition expression 1:25", "undefined macro 'nobody'", 1)]),
    "InvalidOverwriteMacroMultipleDocs": ([MACRO + "---\n" + MACRO.replace("openat", "openat and nobody")],
                                          [Says(VALIDATE, "macro 'opens' 3:2 | condition expression 4:25",
                                                "undefined macro 'nobody'")]),
    # what is not known
    "SkipUnknownError": ([rule("evt.type = openat and proc.colour = red", more="  skip-if-unknown-filter: false\n")],
                         [Says(COND, "rule 'door' 0:2 | rule condition 2:13 | condition expression 3:36", "no field 'proc.colour'")]),
    "SkipUnknownUnspecError": ([rule("evt.type = openat and proc.colour = red")],
                               [Says(COND, "rule 'door' 0:2 | rule condition 2:13 | condition expression 3:36",
                                     "no field 'proc.colour'")]),
    "ValidateSkipUnknownNoevt": ([rule("proc.colour = red", "field", more="  skip-if-unknown-filter: true\n")
                                  + rule("evt.type = painted", "type", more="  skip-if-unknown-filter: true\n")
                                  + rule(name="output", output='"%proc.colour"', more="  skip-if-unknown-filter: true\n")],
                                 [Says(FILTER, "rule 'field' 0:2 | rule condition 2:13 | condition expression 3:14",
                                       "no field 'proc.colour'"),
                                  Says(FILTER, "rule 'type' 6:2 | rule condition 8:13 | condition expression 9:25", "'painted'"),
                                  Says(FILTER, "rule 'output' 12:2 | rule output 15:10", "no such field")]),
    "TestWarnings": ([rule("proc.name = cat", "no type") + rule("evt.type != openat", "unequal")
                      + rule("not evt.type = openat", "not first") + rule("not evt.type in (openat, open)", "not in")
                      + rule("evt.type = open or proc.name = cat", "or anything")
                      + rule("evt.type = open or evt.type != openat", "unequal last")
                      + rule("evt.type = open or not evt.type = openat", "not last")
                      + rule("evt.type != open and not evt.type = openat", "unequal and not")
                      + rule("evt.type in (open, openat) or not (evt.type = open)", "in parentheses")
                      + rule("evt.type in (open, openat) and not evt.type = open", "narrow")
                      + rule("proc.name = cat", "wanted", more="  warn_evttypes: false\n")],
                     [Says(NO_TYPE, f"rule '{name}' {5 * i}:2", "too many event types.*evt.type")
                      for i, name in enumerate(["no type", "unequal", "not first", "not in", "or anything", "unequal last",
                                                "not last", "unequal and not", "in parentheses"])]),
    "NoPluginsUnknownSource": ([rule("aws.name = x", more="  source: aws\n")], [Says(SOURCE, "rule 'door' 0:2", "skipped.*'aws'")]),
    "NoPluginsUnknownSourceRuleException": ([rule("aws.name = x", more="  source: aws\n  exceptions:\n"
                                                  "    - {name: e, fields: [aws.user], values: [[x]]}\n")],
                                            [Says(SOURCE, "rule 'door' 0:2", "skipped.*'aws'")]),
    "AppendUnknownSource": ([rule("aws.name = x", more="  source: aws\n")
                             + "- rule: door\n  condition: and aws.user = x\n  append: true\n"],
                            [Says(SOURCE, "rule 'door' 0:2", "skipped.*'aws'"),
                             Says("LOAD_DEPRECATED_ITEM", "rule 'door' 6:2", "'append'.*override"),
                             Says(SOURCE, "rule 'door' 6:2", "skipped.*'aws'")]),
    # exceptions
    "RuleExceptionNoName": ([exception("fields: [proc.name]")], [Says(YAML, FIRST.format(""), "has no name")]),
    "RuleExceptionNoFields": ([exception("name: known")], [Says(YAML, FIRST.format(" 'known'"), "'known' has no fields")]),
    "RuleExceptionUnknownFields": ([exception("name: known", "fields: [proc.name, proc.colour]")],
                                   [Says(VALIDATE, FIRST.format(" 'known'"), "no field 'proc.colour'")]),
    "RuleExceptionUnknownComp": ([exception("name: known", "fields: [proc.name, fd.name]", "comps: ['=', like]")],
                                 [Says(VALIDATE, FIRST.format(" 'known'"), "'like' is no comparison operator")]),
    "RuleExceptionCompsFieldsLenMismatch": ([exception("name: known", "fields: [proc.name, fd.name]", "comps: ['=']")],
                                            [Says(VALIDATE, FIRST.format(" 'known'"), "fields and comps differ in length")]),
    "RuleExceptionFieldsValuesLenMismatch": ([exception("name: known", "fields: [proc.name, fd.name]", "values: [[cat]]")],
                                             [Says(VALIDATE, FIRST.format(" 'known'"), "1 values for 2 fields")]),
    "RuleExceptionAppendNoName": ([appended("values: [[cat, /b]]")],
                                  [DEPRECATED, Says(YAML, SECOND.format(""), "has no name")]),
    "RuleExceptionAppendItemNotInRule": ([appended("name: other", "values: [[cat, /b]]")],
                                         [DEPRECATED, Says(VALIDATE, SECOND.format(" 'other'"), "'other' has no fields")]),
    "RuleExceptionAppendFieldsValuesLenMismatch": ([appended("name: known", "values: [[cat]]")],
                                                   [DEPRECATED, Says(VALIDATE, SECOND.format(" 'known'"), "1 values for 2 fields")]),
    "RuleExceptionNewAppendNoField": ([rule() + "- rule: door\n  append: true\n  exceptions:\n    - name: known\n"
                                       "      values: [[cat]]\n"],
                                      [Says("LOAD_DEPRECATED_ITEM", "rule 'door' 5:2", "'append'.*override"),
                                       Says(VALIDATE, "rule 'door' 5:2 | exception 'known' 8:6", "'known' has no fields")]),
}


def validate(world, *words):
    done = subprocess.run([str(w) for w in (world.build / "tipstaff", "rules", "validate", *words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done


def way(message):
    steps = message["context"]["locations"][1:]
    return " | ".join(s["item_type"] + (f" '{s['item_name']}'" if s["item_name"] else "")
                      + f" {s['position']['line']}:{s['position']['column']}" for s in steps)


def as_text(results):
    """The JSON results in the shape of the text."""
    out = ""
    for r in results:
        out += f"{r['name']}: " + ("Invalid" if r["errors"] else "Ok, with warnings" if r["warnings"] else "Ok") + "\n"
        parts = []
        for kind in ("errors", "warnings"):
            part = f"{len(r[kind])} {kind.capitalize()}:\n"
            for m in r[kind]:
                for i, at in enumerate(m["context"]["locations"]):
                    pos, name = at["position"], f" '{at['item_name']}'" if at["item_name"] else ""
                    part += f"{'    ' if i else 'In '}{at['item_type']}{name}: ({pos['name']}:{pos['line']}:{pos['column']})\n"
                part += f"------\n{m['context']['snippet']}------\n{m['code']} ({PHRASES[m['code']]}): {m['message']}\n"
            parts += [part] if r[kind] else []
        out += "\n".join(parts)
    return out


def judge(world, texts):
    """Exit status and JSON results; the text says the same."""
    paths = [world.file(f"loader-{i}.yaml", text=text, mode=0o644) for i, text in enumerate(texts)]
    by_name = {str(path): text for path, text in zip(paths, texts, strict=True)}
    done = validate(world, *paths, "--json")
    results = json.loads(done.stdout)["falco_load_results"]
    for r in results:
        assert set(r) == {"name", "successful", "schema_valid", "schema_warnings", "errors", "warnings"}
        assert r["successful"] == (not r["errors"])
        for m in r["errors"] + r["warnings"]:
            assert set(m) == {"code", "codedesc", "message", "context"} and set(m["context"]) == {"locations", "snippet"}
            first = m["context"]["locations"][0]
            assert first["item_type"] == "rules content" and first["item_name"] == ""
            for at in m["context"]["locations"]:
                pos = at["position"]
                if pos["name"] in by_name:
                    lines = by_name[pos["name"]].splitlines(keepends=True)
                    assert pos["offset"] == len("".join(lines[:pos["line"]])) + pos["column"]
                else:
                    assert at["item_type"] == "condition expression" and pos["name"].startswith('"')
        for m in r["errors"]:
            assert m["codedesc"] == PHRASES[m["code"]]
        assert all(m["codedesc"].endswith(".") for m in r["warnings"])
    plain = validate(world, *paths)
    assert plain.returncode == done.returncode and plain.stdout == as_text(results)
    return done.returncode, results


@pytest.mark.parametrize("name", CASES)
def test_what_the_loader_says(world, name):
    texts, expected = CASES[name]
    status, results = judge(world, texts)
    assert status == any(s.code.startswith("LOAD_ERR") for s in expected)
    said = [(m["code"], way(m), i) for i, r in enumerate(results) for m in r["warnings"] + r["errors"]]
    assert said == [(s.code, s.way, s.file) for s in expected]
    messages = [m["message"] for r in results for m in r["warnings"] + r["errors"]]
    for s, message in zip(expected, messages, strict=True):
        assert re.search(s.what, message), message


def test_there_are_as_many_cases_as_that_suite_has():
    assert len(CASES) == 39


def test_later_files_make_up_for_earlier_ones(world):
    """What the first file leaves unused is no warning when the second uses it."""
    assert judge(world, [MACRO, rule("opens")])[0] == 0
    assert [r["warnings"] for r in judge(world, [MACRO, rule("opens")])[1]] == [[], []]


def test_nothing_is_said_of_files_behind_a_bad_one(world):
    status, results = judge(world, [rule(), "- list: doors\n", rule()])
    assert status == 1 and [r["successful"] for r in results] == [True, False]


def test_empty_documents_and_items_are_none(world):
    status, (result,) = judge(world, ["---\n---\n-\n" + rule() + "---\n# nothing\n---\n" + rule(name="window")])
    assert status == 0 and not result["warnings"]


def test_a_folder_is_read_in_the_order_of_its_names(world):
    """Only `.yaml` and `.yml`, not what is below; each over those before it."""
    folder = world.dir / "ordered"
    (folder / "deeper.yaml").mkdir(parents=True)
    (folder / "20-more.yml").write_text("- list: doors\n  items: [/b]\n  override: {items: append}\n")
    (folder / "10-base.yaml").write_text("- list: doors\n  items: [/a]\n" + rule("evt.type = open and fd.name in (doors)"))
    (folder / "15-notes.txt").write_text("- rule: [\n")
    done = validate(world, folder, "--json")
    assert done.returncode == 0, done.stdout
    assert [r["name"] for r in json.loads(done.stdout)["falco_load_results"]] == [
        str(folder / "10-base.yaml"), str(folder / "20-more.yml")]
    # The other way round there is no list to append to.
    (folder / "05-more.yml").write_text((folder / "20-more.yml").read_text())
    first, = json.loads(validate(world, folder, "--json").stdout)["falco_load_results"]
    assert first["name"] == str(folder / "05-more.yml") and first["errors"][0]["code"] == VALIDATE


@pytest.mark.parametrize("depth, fits", [(1000, True), (1001, False)])
def test_depth_of_a_condition(world, depth, fits):
    status, (result,) = judge(world, [rule("(" * depth + "evt.type = open" + ")" * depth)])
    assert status == (not fits)
    assert fits or "nested" in result["errors"][0]["message"]
