"""What replies are to look like where a client takes models of pydantic's; `telling.mjs` has the same as a schema."""

from typing import Literal

from pydantic import BaseModel


class Pet(BaseModel):
    name: Literal["Mirelo", "Luno"]
    alive: bool
