"""What was said in a chat."""

from warmturn import Client, Item

GREEDY = ("--temperature", "0", "--max-tokens", "6")


def last_items(client: Client) -> list[Item]:
    return list(client.conversations.items(next(client.conversations.list()).id))


def said(client: Client) -> list[str]:
    return [item.text for item in last_items(client) if item.role == "user"]
