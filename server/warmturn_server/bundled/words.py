"""The word lists of `words.json`: what facts are about, and what their values are made of."""

import json
from pathlib import Path

_ALL: dict[str, list[str]] = json.loads((Path(__file__).parent / "words.json").read_text(encoding="utf-8"))

ADJECTIVES = _ALL["adjectives"]
ALLERGENS = _ALL["allergens"]
ANIMALS = _ALL["animals"]
CITIES = _ALL["cities"]
CITY_FIRST = _ALL["city_first"]
CITY_SECOND = _ALL["city_second"]
COLOURS = _ALL["colours"]
DRINKS = _ALL["drinks"]
FIRST_NAMES = _ALL["first_names"]
FLOWERS = _ALL["flowers"]
FOODS = _ALL["foods"]
FRUITS = _ALL["fruits"]
GROCERIES = _ALL["groceries"]
INSTRUMENTS = _ALL["instruments"]
JOBS = _ALL["jobs"]
MONTHS = _ALL["months"]
PREPOSITIONS = _ALL["prepositions"]
SEASONS = _ALL["seasons"]
SPORTS = _ALL["sports"]
SPOTS = _ALL["spots"]
WEEKDAYS = _ALL["weekdays"]
PETS = _ALL["pets"]
PEOPLE = _ALL["people"]
NAMED = _ALL["named"]
THINGS = _ALL["things"]
PLURAL_THINGS = _ALL["plural_things"]
CODES = _ALL["codes"]
MOMENTS = _ALL["moments"]
SYLLABLE_ONSETS = _ALL["syllable_onsets"]
SYLLABLE_VOWELS = _ALL["syllable_vowels"]
SYLLABLE_CODAS = _ALL["syllable_codas"]
