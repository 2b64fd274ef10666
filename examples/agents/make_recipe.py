#!/usr/bin/python3
"""Prints the body for POST /api/v1/agents from a folder with an agent.json.

    make_recipe.py examples/agents/wordcount | curl ... --data-binary @- .../api/v1/agents
    make_recipe.py --set AGENT_BIN=/opt/agents/bin examples/agents/cpp

agent.json has the members of the body, and `files`, paths beside it whose text goes into
`recipe.harness.files` under their last name: an agent finds them in /agent. `${NAME}` in a string
is replaced by what --set gives. `--recipe` prints the recipe alone, for .../versions.
"""
import argparse, json, os, re, sys

MAX_FILES_BYTES = 1 << 20


def replace(value, given):
    """`value` with every ${NAME} replaced, KeyError for a name that was not given."""
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda match: given[match[1]], value)
    if isinstance(value, list):
        return [replace(item, given) for item in value]
    if isinstance(value, dict):
        return {name: replace(item, given) for name, item in value.items()}
    return value


def make_body(folder, given=None):
    """The body as a dict. OSError, ValueError or KeyError when the folder cannot give one."""
    with open(os.path.join(folder, "agent.json"), encoding="utf-8") as file:
        body = replace(json.load(file), given or {})
    files = {}
    for path in body.pop("files", []):
        name = os.path.basename(path)
        if name in files:
            raise ValueError(f"two files are named {name}")
        with open(os.path.join(folder, path), encoding="utf-8", newline="") as file:
            files[name] = file.read()
    if sum(len(text.encode()) for text in files.values()) > MAX_FILES_BYTES:
        raise ValueError(f"the files have more than {MAX_FILES_BYTES} bytes")
    if files:
        body["recipe"]["harness"]["files"] = files
    return body


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--recipe", action="store_true", help="the recipe alone")
    arguments = parser.parse_args()
    try:
        body = make_body(arguments.folder, dict(item.split("=", 1) for item in arguments.set))
    except KeyError as error:
        sys.exit(f"{arguments.folder}: give --set {error.args[0]}=VALUE")
    except (OSError, ValueError) as error:
        sys.exit(f"{arguments.folder}: {error}")
    json.dump(body["recipe"] if arguments.recipe else body, sys.stdout, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
