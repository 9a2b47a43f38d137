# SPDX-License-Identifier: MIT
"""What an attack is, and what it reports. A module of this package registers its attacks:

    @attack("Faults", "kill-child", "the service is back within 1 s")
    def kill_child(rounds=20):
        \"\"\"kill -9 of the serving process, 20 times.\"\"\"
        ...
        return Record(f"{longest:.0f} ms", holds=longest < 1000)

The defaults of its keyword arguments are the full size; tests pass smaller ones. An attack starts
its own service, cleans up, and runs in a network namespace and a process of its own."""
import dataclasses
import importlib
import inspect
import pkgutil

SECTIONS = ("Faults", "Load", "Abuse", "Soak")


@dataclasses.dataclass
class Record:
    """`figure` is what was measured, in one line; `notes` stand below the table."""
    figure: str
    holds: bool
    notes: str = ""


@dataclasses.dataclass
class Attack:
    section: str
    name: str
    limit: str
    function: object

    @property
    def title(self):
        """The first paragraph of the function's docstring."""
        return " ".join(inspect.getdoc(self.function).split("\n\n")[0].split()).rstrip(".")


registered = {}  # name: Attack


def attack(section, name, limit):
    """Registers a function that takes no positional arguments and returns a Record."""
    assert section in SECTIONS, section

    def register(function):
        assert name not in registered, f"two attacks are called {name}"
        registered[name] = Attack(section, name, limit, function)
        return function
    return register


def find_all():
    """Imports all modules of this package; returns the attacks in the order of the page."""
    package = importlib.import_module("attack")
    for module in pkgutil.iter_modules(package.__path__, "attack."):
        importlib.import_module(module.name)
    return sorted(registered.values(), key=lambda found: SECTIONS.index(found.section))
