"""The names in raftcs.h, in the version script and in the library are the same, three ways.

Usage: exported_names.py HEADER MAP LIBRARY
"""
import re
import subprocess
import sys


def header_names(path):
    text = open(path, encoding="utf-8").read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return set(re.findall(r"RAFTCS_API[^;(]*?\b(raftcs_\w+)\s*\(", text))


def map_names(path):
    text = re.sub(r"#.*", "", open(path, encoding="utf-8").read())
    listed = text.split("global:", 1)[1].split("local:", 1)[0]
    return set(re.findall(r"(\w+);", listed))


def library_names(path):
    out = subprocess.run(["nm", "-D", "--defined-only", path], check=True, text=True,
                         capture_output=True).stdout
    names = set()
    for line in out.splitlines():
        _, kind, name = line.split(maxsplit=2)
        if kind != "A":  # the version node itself
            names.add(name.split("@")[0])
    return names


def main():
    header, script, library = (f(p) for f, p in zip(
        (header_names, map_names, library_names), sys.argv[1:4]))
    bad = 0
    for what, names in (("in the map", script), ("exported", library)):
        for name in sorted(header - names):
            print(f"{name}: declared in the header, not {what}")
            bad += 1
        for name in sorted(names - header):
            print(f"{name}: {what}, not declared in the header")
            bad += 1
    print(f"{len(header)} names, {bad} differences")
    return 1 if bad or not header else 0


sys.exit(main())
