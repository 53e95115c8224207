"""Lists in pages, as OpenAI cuts them: `after` names the last one seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Depends, Query

from ..chat import Item, Page
from ..errors import InvalidRequest
from .items import item_objects
from .json import Json


def _page(
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(min_length=1, max_length=512)] = None,
    order: Literal["asc", "desc"] = "desc",
) -> Page:
    return Page(limit, after, order)


PageQuery = Annotated[Page, Depends(_page)]


def page_object(data: Sequence[Json], has_more: bool) -> Json:
    """Clients that page by themselves go round for ever without `has_more`."""
    return {
        "object": "list",
        "data": list(data),
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": has_more,
    }


def page_of(objects: Sequence[Json], page: Page, kind: str) -> Json:
    """A page of `objects`, which are given oldest first."""
    ordered = list(objects) if page.order == "asc" else list(reversed(objects))
    start = 0
    if page.after is not None:
        ids = [entry["id"] for entry in ordered]
        if page.after not in ids:
            raise InvalidRequest(f"There is no {kind} '{page.after}' here.", code="invalid_value", param="after")
        start = ids.index(page.after) + 1
    return page_object(ordered[start : start + page.limit], has_more=start + page.limit < len(ordered))


def page_of_items(items: Sequence[Item], page: Page) -> Json:
    return page_of([shown for item in items for shown in item_objects(item)], page, "item")
