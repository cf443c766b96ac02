"""Constants and struct layouts of the public headers, compared with golden.txt.

A small C program, written from the headers, prints every enum constant's value and every public
struct's size and offsets; abidiff does not see constants of enums that no function uses.
Usage: golden.py --compiler CC --include DIR --golden FILE [--rewrite]
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HEADERS = ("raftcs_status.h", "raftcs.h", "raftcs_plugin.h")


def declarations(include):
    text = "".join(open(os.path.join(include, h), encoding="utf-8").read() for h in HEADERS)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    constants = []
    for body in re.findall(r"\benum\s+\w+\s*\{(.*?)\}", text, flags=re.S):
        constants += re.findall(r"\b(RAFTCS_\w+)\s*=", body)
    structs = []
    pattern = r"\bstruct\s+(\w+)\s*\{(.*?)\}\s*(\w*)\s*;"
    for tag, body, name in re.findall(pattern, text, flags=re.S):
        fields = []
        for statement in body.split(";"):
            pointer = re.search(r"\(\*(\w+)\)\s*\(", statement)
            plain = re.search(r"(\w+)\s*(?:\[\w+\])?\s*$", statement.strip())
            if pointer:
                fields.append(pointer.group(1))
            elif plain:
                fields.append(plain.group(1))
        structs.append((name or "struct " + tag, fields))
    return constants, structs


def program(constants, structs):
    lines = ["#include <stddef.h>", "#include <stdio.h>"]
    lines += [f'#include "{h}"' for h in HEADERS]
    lines.append("int main(void) {")
    for name in constants:
        lines.append(f'printf("{name} %ld\\n", (long){name});')
    for struct, fields in structs:
        lines.append(f'printf("{struct} size %lu\\n", (unsigned long)sizeof({struct}));')
        for field in fields:
            lines.append(f'printf("{struct}.{field} %lu\\n", '
                         f'(unsigned long)offsetof({struct}, {field}));')
    lines.append("return 0; }")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", required=True)
    parser.add_argument("--golden", required=True)
    parser.add_argument("--rewrite", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        source, binary = os.path.join(work, "golden.c"), os.path.join(work, "golden")
        with open(source, "w", encoding="utf-8") as f:
            f.write(program(*declarations(args.include)))
        subprocess.run([args.compiler, "-std=c99", "-I" + args.include, source, "-o", binary],
                       check=True)
        printed = subprocess.run([binary], check=True, text=True, capture_output=True).stdout
    if args.rewrite:
        with open(args.golden, "w", encoding="utf-8") as f:
            f.write(printed)
        return 0
    with open(args.golden, encoding="utf-8") as f:
        golden = f.read()
    if printed == golden:
        return 0
    for line in sorted(set(golden.splitlines()) ^ set(printed.splitlines())):
        print(("- " if line in golden.splitlines() else "+ ") + line)
    return 1


sys.exit(main())
