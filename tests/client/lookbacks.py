"""Look-backs as a server sends them."""

from typing import Any


def source(kind: str, text: str = "", role: str | None = None, turn: int | None = None) -> dict[str, Any]:
    return {"kind": kind, "item_id": None, "role": role, "turn": turn, "tokens": 3, "text": text}


def document(*shares: float, items: list[dict[str, Any]] | None = None, looked_at: str = " Mio") -> dict[str, Any]:
    """Two layers that share alike; the second look was at token 7, in layer 1, with 0.75."""
    items = items or [source("item", "My cat is Mio.", "user", 1), source("item", "Who is it?", "user", 2)]
    depth = {"source": 1, "share": 0.8, "position": 7, "token_share": 0.75}
    weak = {"source": 1, "share": 0.02, "position": 7, "token_share": 0.01}
    look = {"position": 11, "shares": shares, "top": [{"position": 7, "share": 0.4}]}
    return {
        "sources": [source("template"), *items, source("reply"), source("sink")],
        "layers": [{"shares": shares, "top": [{"position": 7, "share": 0.1}]} for _ in range(2)],
        "looks": [
            {"token_id": 5, "text": "It", **look, "by_layer": [None, weak]},
            {"token_id": 9, "text": looked_at, **look, "by_layer": [weak, depth]},
        ],
        "tokens": {"7": {"text": looked_at, "source": 1}},
        "output_tokens": 2,
    }


PLAIN = document(0.3, 0.45, 0.15, 0.1, 0.0)
