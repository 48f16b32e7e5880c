"""Write lab/solutions/: for each exercise the files that differ from what a student gets, without the mistake.

.venv-modern/bin/python -m lab.write_solutions
"""

from pathlib import Path

from lens_modern.exercise.sealing import read_exercises, sealed_source

if __name__ == "__main__":
    for name, exercise in read_exercises().items():
        folder = Path(__file__).resolve().parent / "solutions" / name
        folder.mkdir(parents=True, exist_ok=True)
        for module in {edit.module for edit in exercise.about.edits}:
            (folder / f"{module}.py").write_text(sealed_source(module))
