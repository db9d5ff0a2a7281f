"""Lay out the wheel; all else about it is in pyproject.toml.

In the repository `helpers` and `models` lie beside `registration`. In the wheel they
lie inside it, as `registration._helpers` and `registration._models`, so that it
installs one name at the top level: one called `helpers` would clash with somebody's
own. Imports of `helpers` are rewritten on the way; nothing is copied in the repository.
"""

import pathlib
import re
import shutil

import setuptools
from setuptools.command import build_py

HELPERS, MODELS = "registration._helpers", "registration._models"
IMPORT = re.compile(r"^(\s*from )helpers\b", re.MULTILINE)


class Build(build_py.build_py):
    """Copy the packages to where they lie in the wheel."""

    def run(self):
        """Build, without what an earlier build has left."""
        if self.editable_mode:
            raise SystemExit(
                "registration cannot be installed as editable: in its repository, "
                "`python -m registration` runs as it is. Received: an editable install"
            )
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()

    def find_package_modules(self, package, package_dir):
        """Leave the scripts that train the networks out of the wheel."""
        if package == MODELS:
            return []
        return super().find_package_modules(package, package_dir)

    def build_module(self, module, module_file, package):
        """Copy a module, with `helpers` imported from where the wheel has it."""
        made = super().build_module(module, module_file, package)
        path = pathlib.Path(made[0])
        text = path.read_text(encoding="utf-8")
        path.write_text(IMPORT.sub(rf"\g<1>{HELPERS}", text), encoding="utf-8")
        return made


setuptools.setup(
    packages=[
        *setuptools.find_packages(include=["registration", "registration.*"]),
        HELPERS,
        *(f"{HELPERS}.{name}" for name in setuptools.find_packages("helpers")),
        MODELS,
    ],
    package_dir={HELPERS: "helpers", MODELS: "models"},
    package_data={
        "registration": ["check.json", "cohort_report.html", "template_report.html"],
        "registration.scans.sources": ["*.txt", "*.tsv"],
        "registration.show": ["*.js", "*.css"],
        MODELS: ["*.json", "*.md", "*.onnx", "*.weights.h5"],
    },
    cmdclass={"build_py": Build},
)
