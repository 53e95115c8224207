"""Flag, then environment, then file, then default."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmturn import SettingsError
from warmturn.client import DEFAULT_URL
from warmturn.settings import ClientSettings, load_settings

MAYBE = st.sampled_from([None, "http://a", "http://b"])


@given(flag=MAYBE, environment=MAYBE, file=MAYBE)
def test_the_first_one_given_counts(
    tmp_path_factory: pytest.TempPathFactory, flag: str | None, environment: str | None, file: str | None
) -> None:
    config = tmp_path_factory.mktemp("config") / "config.toml"
    if file:
        config.write_text(f'url = "{file}"\n')
    found = load_settings({"url": flag}, {"WARMTURN_URL": environment} if environment else {}, config)
    assert found.url == (flag or environment or file or DEFAULT_URL)


def test_each_setting_is_looked_up_by_itself(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('url = "http://file"\napi_key = "from file"\n')
    found = load_settings({"url": None, "api_key": None}, {"WARMTURN_API_KEY": "from env", "WARMTURN_URL": ""}, config)
    assert found == ClientSettings("http://file", "from env")


@pytest.mark.parametrize("text", ["url = ", 'uri = "http://x"', "url = 8000", "\udcff"])
def test_a_bad_file_is_named(tmp_path: Path, text: str) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text, errors="surrogateescape")
    with pytest.raises(SettingsError, match=r"config\.toml"):
        load_settings({}, {}, config)
