"""docs/otlp.md shows the recipes that `make recipes` runs, and the versions that it runs them with."""

import json
import pathlib
import re
import unittest

import yaml
from processed import ROOT

DOCUMENT = (ROOT / "docs/otlp.md").read_text()
RECIPES = ROOT / "tests/recipes"
# A block that follows the path of the file that has its lines.
BLOCK = re.compile(r"<!-- (tests/recipes/\S+) -->\n```\w+\n(.*?)```\n", re.DOTALL)
MARKED = re.compile(r"^(?:#|//) begin docs\n(.*?)^(?:#|//) end docs\n", re.DOTALL | re.MULTILINE)
# Packages that only the tests of recipes need.
UNNAMED = {"zod"}


def shown_lines(path):
    """Returns the part of a file that the document shows: the marked lines, else the whole file."""
    text = path.read_text()
    marked = MARKED.search(text)
    return marked[1] if marked else text


def shown_files():
    """Returns the files that the document must show."""
    names = ("tracing.py", "*/recipe.*", "*/setup.sh", "*/collector.yaml")
    return {path for name in names for path in RECIPES.glob(name)}


def pins(folder):
    """Returns the packages of a recipe with their versions."""
    requirements, package = folder / "requirements.txt", folder / "package.json"
    if package.exists():
        return json.loads(package.read_text())["dependencies"]
    lines = requirements.read_text().splitlines() if requirements.exists() else []
    return dict(re.sub(r"\[.*?\]", "", line).split("==") for line in lines)


class Recipes(unittest.TestCase):
    def test_document_shows_the_lines_of_every_recipe(self):
        blocks = BLOCK.findall(DOCUMENT)
        self.assertEqual(sorted(path for path, _ in blocks), sorted(str(path.relative_to(ROOT)) for path in shown_files()))
        for path, block in blocks:
            with self.subTest(path):
                self.assertEqual(block, shown_lines(ROOT / path))

    def test_document_names_the_versions_of_every_recipe(self):
        for folder in sorted(path.parent for path in RECIPES.glob("*/recipe.*")):
            with self.subTest(folder.name):
                row = re.search(rf"^\| \[.*?\]\(\.\./tests/recipes/{folder.name}\) \| (.*) \|$", DOCUMENT, re.MULTILINE)
                self.assertIsNotNone(row)
                versions = {f"{name} {version}" for name, version in pins(folder).items() if name not in UNNAMED}
                self.assertEqual(set(row[1].split(", ")), versions)

    def test_setup_installs_pinned_packages(self):
        for setup in RECIPES.glob("*/setup.sh"):
            with self.subTest(setup.parent.name):
                [install] = re.findall(r"^(?:pip|npm) install (.*)$", setup.read_text(), re.MULTILINE)
                names = {re.sub(r'"|\[.*?\]', "", name) for name in install.split()}
                self.assertLessEqual(names, pins(setup.parent).keys())

    def test_collector_recipe_is_complete(self):
        config = yaml.safe_load((RECIPES / "collector/collector.yaml").read_text())
        exporter = config["exporters"]["otlp_http/signals"]
        self.assertEqual(exporter["endpoint"], "https://…/api")
        self.assertEqual(list(exporter["headers"]), ["x-api-key"])
        for pipeline in config["service"]["pipelines"].values():
            self.assertLessEqual(set(pipeline["exporters"]), config["exporters"].keys())


if __name__ == "__main__":
    unittest.main()
