"""Writes the licenses of all crates in the deployed functions.

A crate without a license text is listed with the name of its license.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
TARGET = "aarch64-unknown-linux-gnu"
NAMES = ("license", "licence", "copying", "notice", "copyright", "unlicense")


def metadata():
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def linked_crates(graph):
    """Returns the crates that are linked into a function: its normal dependencies without procedural macros."""
    packages = {package["id"]: package for package in graph["packages"]}
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    waiting = [id for id in graph["workspace_members"] if "/functions/" in packages[id]["manifest_path"]]
    seen = set(waiting)
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            is_normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            is_macro = any("proc-macro" in target["kind"] for target in packages[dependency["pkg"]]["targets"])
            if is_normal and not is_macro and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    crates = (packages[id] for id in seen if packages[id]["source"])
    return sorted(crates, key=lambda crate: (crate["name"], crate["version"]))


def license_texts(crate):
    folder = pathlib.Path(crate["manifest_path"]).parent
    files = [file for file in folder.iterdir() if file.is_file() and file.name.lower().startswith(NAMES)]
    return [file.read_text(errors="replace").strip() for file in sorted(files) if file.suffix != ".rs"]


def notices(crates):
    """Lists all crates, then each license text once, with its crates."""
    holders = {}
    for crate in crates:
        for text in license_texts(crate):
            holders.setdefault(text, []).append(f"{crate['name']} {crate['version']}")
    lines = ["Rust crates that the functions of Signals are built from, and their licenses", ""]
    lines += [f"{crate['name']} {crate['version']}: {crate['license'] or 'see its text'}" for crate in crates]
    for text, names in sorted(holders.items(), key=lambda item: item[1]):
        lines += ["", "=" * 100, ", ".join(names), "-" * 100, "", text]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    output = parser.parse_args().output
    crates = linked_crates(metadata())
    unlicensed = [crate["name"] for crate in crates if not crate["license"] and not license_texts(crate)]
    if unlicensed:
        sys.exit(f"crates without a license: {', '.join(unlicensed)}")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(notices(crates))
    print(f"{len(crates)} crates in {output}")


if __name__ == "__main__":
    main()
