"""The template that training writes is the one that is shipped."""

from warmturn_mini.tokenizer import TEMPLATE
from warmturn_server.bundled import path


def test_the_shipped_template_is_the_one_that_the_tokenizer_is_built_with() -> None:
    assert (path() / "chat_template.jinja").read_text("utf-8") == TEMPLATE
