"""Writes a risk equation as a C program or a Python module, straight from the coefficient table, to time against."""

import subprocess
from pathlib import Path

import numpy as np
import polars as pl

FLAG_TYPE, NUMBER_TYPE = "int", "double"


def write_program(rows: pl.DataFrame, columns: list[str], folder: Path) -> Path:
    """The compiled program: reads columns of doubles, prints seconds of scoring, writes the risks.

    Each column is read from one file of doubles, in the order of ``columns``; the first is 1 for male.
    """
    source = folder / "risk.c"
    source.write_text(_source(rows, columns), encoding="utf-8")
    program = folder / "risk"
    subprocess.run(["gcc", "-O2", "-o", str(program), str(source), "-lm"], check=True)
    return program


def write_module(rows: pl.DataFrame, columns: list[str], folder: Path) -> Path:
    """The same equation as a Python module: functions ``female`` and ``male`` of one person's columns, in order."""
    module = folder / "scalar_equation.py"
    functions = [_python(rows.filter(pl.col("sex") == sex), sex, columns) for sex in ("female", "male")]
    module.write_text("\n".join(["from math import exp, log, pow", *functions]), encoding="utf-8")
    return module


def run_program(program: Path, frame: pl.DataFrame, columns: list[str]) -> tuple[float, np.ndarray]:
    """Seconds spent on scoring alone, and the risks in percent."""
    data, out = program.parent / "in.bin", program.parent / "out.bin"
    matrix = frame.select(pl.col(columns).cast(pl.Float64)).to_numpy()
    np.ascontiguousarray(matrix.T).tofile(data)
    run = subprocess.run([str(program), str(frame.height), str(data), str(out)], check=True, capture_output=True)
    return float(run.stdout), np.fromfile(out)


def _source(rows: pl.DataFrame, columns: list[str]) -> str:
    functions = "\n".join(_function(rows.filter(pl.col("sex") == sex), sex, columns) for sex in ("female", "male"))
    reads = "\n".join(f"  double *c_{name} = data + {place}L * n;" for place, name in enumerate(columns))
    call = ", ".join(f"c_{name}[i]" for name in columns[1:])
    return f"""#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
{functions}
int main(int argc, char **argv) {{
  long n = atol(argv[1]);
  double *data = malloc(sizeof(double) * n * {len(columns)}), *out = malloc(sizeof(double) * n);
  FILE *f = fopen(argv[2], "rb");
  if (fread(data, sizeof(double), n * {len(columns)}, f) != (size_t)n * {len(columns)}) return 1;
  fclose(f);
  for (long i = 0; i < n; i++) out[i] = 0;
{reads}
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  for (long i = 0; i < n; i++) out[i] = c_{columns[0]}[i] ? male({call}) : female({call});
  clock_gettime(CLOCK_MONOTONIC, &b);
  printf("%.6f", (b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) / 1e9);
  f = fopen(argv[3], "wb");
  fwrite(out, sizeof(double), n, f);
  fclose(f);
  return 0;
}}
"""


Statement = tuple[str, str, str]
"""What an equation does next: a new name, a changed one or a sum's next part; the name or the condition; the term."""


def _statements(rows: pl.DataFrame) -> tuple[list[Statement], str]:
    """One sex's equation in the shape of the published program, and its survival, in words of C and Python."""
    found: list[Statement] = []
    centres = {row["term"]: row["value"] for row in rows.to_dicts() if row["kind"] == "centre"}
    transforms = set()
    for row in rows.filter(pl.col("kind") == "transform").to_dicts():
        transforms.add(row["term"])
        scaled = f"({row['input']} / {row['divided_by']})"
        parts = [f"pow({scaled}, {row['power']})"] * (row["power"] != "0") + [f"log({scaled})"] * (row["log"] == "1")
        found.append(("new", row["term"], f"{' * '.join(parts)} - {centres[row['term']]}"))
    found += [("changed", name, f"{name} - {value}") for name, value in centres.items() if name not in transforms]
    for row in rows.to_dicts():
        kind, term, value = row["kind"], row["term"], row["value"]
        condition = f"({term.replace('=', ' == ')})"
        if kind in ("number", "flag"):
            found.append(("sum", "", f"{term} * {value}"))
        elif kind == "code":
            found.append(("sum", condition, value))
        elif kind == "interaction":
            found.append(("sum", "", f"{row['by']} * {condition if '=' in term else term} * {value}"))
    return found, rows.filter(pl.col("kind") == "survival")["value"].item()


def _python(rows: pl.DataFrame, sex: str, columns: list[str]) -> str:
    """One sex's equation as a function in Python."""
    statements, survival = _statements(rows)
    lines = [f"def {sex}({', '.join(columns)}):", "    a = 0.0"]
    for kind, name, term in statements:
        guard = f"if {name}: " if kind == "sum" and name else ""
        lines.append(f"    {guard}a += {term}" if kind == "sum" else f"    {name} = {term}")
    return "\n".join([*lines, f"    return 100.0 * (1 - pow({survival}, exp(a)))", ""])


def _function(rows: pl.DataFrame, sex: str, columns: list[str]) -> str:
    """One sex's equation as a function in C."""
    statements, survival = _statements(rows)
    lines = [f"static double {sex}({', '.join(f'double {name}' for name in columns[1:])}) {{", "  double a = 0;"]
    for kind, name, term in statements:
        if kind == "sum":
            lines.append(f"  {f'if {name} ' if name else ''}a += {term};")
        else:
            lines.append(f"  {'double ' if kind == 'new' else ''}{name} = {term};")
    return "\n".join([*lines, f"  return 100.0 * (1 - pow({survival}, exp(a)));", "}"])
