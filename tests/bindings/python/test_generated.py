"""The committed declarations are what the headers give. Needs no library."""
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Generated(unittest.TestCase):
    def test_regenerating_gives_no_difference(self):
        run = subprocess.run([sys.executable, str(ROOT / "bindings/gen/generate.py"), "--check"],
                             capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_a_statement_out_of_style_is_an_error(self):
        sys.path.insert(0, str(ROOT / "bindings/gen"))
        import generate
        with self.assertRaises(generate.HeaderError):
            generate.Header()._statement("int raftcs_thing(int a)")
        with self.assertRaises(generate.HeaderError):
            generate.parameters("int, int")

    def test_every_exported_function_is_declared(self):
        text = (ROOT / "include/raftcs.h").read_text()
        generated = (ROOT / "bindings/python/raftcs/_ffi.py").read_text()
        names = [line.split("(")[0].split()[-1].lstrip("*") for line in text.splitlines()
                 if line.startswith("RAFTCS_API ") and "(" in line]
        self.assertGreater(len(names), 60)
        for name in names:
            self.assertIn(f'"{name}":', generated)


if __name__ == "__main__":
    unittest.main()
