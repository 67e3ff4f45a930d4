# SPDX-License-Identifier: Apache-2.0
"""What the programs say of themselves: help, manuals, pages and completion name the same commands, options and keys."""

import os
import pathlib
import re
import subprocess

import pytest

pytestmark = pytest.mark.not_in_vm("the programs' words alone: no kernel is asked")

BUILD = pathlib.Path(os.environ.get("BUILD", "build"))
DOCS = pathlib.Path(__file__).parents[2] / "docs"
COMMON = {"--json", "--socket", "--workload-socket", "--help", "--version"}


def said(*args):
    return subprocess.run([BUILD / args[0], *args[1:]], capture_output=True, text=True, check=True, timeout=60).stdout


def plain(page):
    """A manual page without its markup: words, options with their dashes."""
    text = re.sub(r'^\.\\".*$', "", (DOCS / "man" / page).read_text(encoding="utf-8"), flags=re.M)
    text = re.sub(r"\bFl (-?)(?=[\w-])", r"-\1", text)
    return re.sub(r"\s+", " ", re.sub(r"\b(Cm|Op|Oo|Oc|Ar|It|Ns|Pq|Li)\b", " ", text).replace("\n.", " "))


def commands():
    """Every command, and the long options that its help names."""
    listed = re.search(r"^Commands\n(.*?)\n\n", said("tipstaff", "--help"), re.M | re.S).group(1)
    names = {re.match(r"  ((?:[a-z0-9-]+ ?)+)", line).group(1).strip() for line in listed.splitlines()}
    assert len(names) > 25, names
    help_of = {name: said("tipstaff", *name.split(), "--help") for name in names - {"completion bash", "completion", "help"}}
    return {name: set(re.findall(r"^ +(?:-\w, |    )?(--[\w-]+)", text.split("Options of every command")[0], re.M)) for name, text in help_of.items()}


@pytest.fixture(scope="module")
def tree():
    return commands()


def test_manual_has_every_command_and_option(tree):
    manual = plain("tipstaff.1")
    missing = [name for name in tree if not re.search(rf"(^|[ ,]){name}\b", manual)]
    assert not missing, missing
    options = {option for given in tree.values() for option in given} | COMMON
    assert not [o for o in sorted(options) if not re.search(rf"(?<![\w-]){o}\b", manual)]


def test_manual_has_nothing_that_is_gone(tree):
    options = {option for given in tree.values() for option in given} | COMMON
    assert not set(re.findall(r"(?<![\w-])--[a-z][\w-]+", plain("tipstaff.1"))) - options


def test_page_has_every_command_and_option(tree):
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    for name, options in tree.items():
        of = [row for row in rows if re.search(rf"`{name}\b", row)]
        assert of, name
        for option in options:
            short = re.search(rf"(-\w), {option}\b", said("tipstaff", *name.split(), "--help"))
            assert any(option in row or (short and re.search(rf"\[{short.group(1)}\b", row)) or "…" in row for row in of), (name, option)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_has_every_command_and_option(tree, shell):
    script = said("tipstaff", "completion", shell)
    for name, options in tree.items():
        assert re.search(rf"(?<![\w-]){name.split()[-1]}\b", script), name
        assert not [o for o in options if o not in script], (name, options)


def test_fields_page_is_made_of_the_fields():
    assert (DOCS / "fields.md").read_text(encoding="utf-8") == said("tipstaff", "rules", "fields", "--markdown")


def test_daemons_manual_has_every_option():
    aside = {"--help", "--version", "--all"}  # the last is of tipstaff detach
    described = plain("tipstaffd.8").split("Sh DESCRIPTION")[1].split(".Sh")[0]
    of = [set(re.findall(r"(?<![\w-])--[a-z][\w-]+", text)) - aside for text in (said("tipstaffd", "--help"), described)]
    assert of[0] == of[1] and len(of[0]) > 5, of


def test_shipped_configuration_has_no_key_that_the_manual_lacks():
    """Top keys and those one level below: commented ones are keys, too."""
    text = (DOCS.parent / "packaging" / "tipstaff.yaml").read_text(encoding="utf-8")
    keys, top = set(), None
    for line in text.splitlines():
        if found := re.match(r"#?([a-z_]+):(?= |$)", line):
            top = found.group(1)
            keys.add(top)
        elif top and (found := re.match(r"(?:#  |  #|  )([a-z_]+):(?= |$)", line)):
            keys.add(f"{top}.{found.group(1)}")
    manual = (DOCS / "man" / "tipstaff.yaml.5").read_text(encoding="utf-8")
    assert len(keys) > 30, keys
    assert not [key for key in sorted(keys) if not re.search(rf"\b{re.escape(key)}\b", manual)]
