"""What the user says in the demo, and what the answers should contain."""

import json
from dataclasses import dataclass
from importlib.resources import files

from warmturn.errors import WarmturnError

BUNDLED_MODEL = "warmturn-mini"


@dataclass(frozen=True, slots=True)
class Line:
    """`expect` is what the answer must contain, whatever the case; empty where nothing is asked back."""

    user: str
    expect: tuple[str, ...] = ()

    @property
    def asks(self) -> bool:
        return bool(self.expect)

    def answered_by(self, text: str) -> bool:
        return all(word.casefold() in text.casefold() for word in self.expect)


def bundled_script() -> tuple[Line, ...]:
    """The script that goes with the bundled model: it asks what that model's evaluation shows to be reliable.

    It lies beside the model, which a client on a machine of its own does not have.
    """
    try:
        source = files("warmturn_server.bundled") / "demo_script.json"
        entries = json.loads(source.read_text(encoding="utf-8"))
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise WarmturnError(f"the bundled model is not installed ({error}): pip install 'warmturn[server]'") from error
    return tuple(Line(entry["user"], _expected(entry.get("expect"))) for entry in entries)


def script_for(model: str) -> tuple[Line, ...]:
    """For a server's model, by its id there. Without the bundled one's own script the generic one does for it too."""
    try:
        return bundled_script() if model == BUNDLED_MODEL else GENERIC_SCRIPT
    except WarmturnError:
        return GENERIC_SCRIPT


def _expected(value: str | list[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


GENERIC_SCRIPT = (
    Line("Hello! My name is Mirabel and I am a beekeeper."),
    Line("I live in Tromsø, in the far north of Norway, in a small red house by the harbour."),
    Line("I have a dog called Kepler. He is nine years old and afraid of thunder."),
    Line("My three hives are named Amber, Clover and Juniper."),
    Line("Could you give me one short tip for keeping bees warm in winter?"),
    Line("My sister Odile visits me every August. She is a violin maker in Cremona."),
    Line("Last summer we sailed to Svalbard on a boat called the Grey Heron."),
    Line("What is my dog called?", ("Kepler",)),
    Line("My favourite tea is lapsang, and I take it without sugar."),
    Line("Next year I want to build a fourth hive and call it Linden."),
    Line("In which town do I live?", ("Troms",)),
    Line("What was the name of the boat?", ("Heron",)),
    Line("What is my sister's name, and what does she make?", ("Odile", "violin")),
    Line("And what is my own name?", ("Mirabel",)),
)
"""For any other model: plain facts told early and asked for late."""
