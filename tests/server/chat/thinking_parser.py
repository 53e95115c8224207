"""A reply parser that tells what a model thinks from what it says; the server has none like it yet."""

from warmturn_server.chat import PartDelta, Reasoning, Text


class ThinkingParser:
    """What stands between `<think>` and `</think>` is reasoning; a tag may come in pieces."""

    def __init__(self) -> None:
        self._held = ""
        self._thinks = False

    def feed(self, text: str) -> list[PartDelta]:
        self._held += text
        parts = list[PartDelta]()
        while self._tag in self._held:
            before, _, self._held = self._held.partition(self._tag)
            parts += self._part(before)
            self._thinks = not self._thinks
        certain = len(self._held) - self._begun()
        said, self._held = self._held[:certain], self._held[certain:]
        return parts + self._part(said)

    def finish(self) -> list[PartDelta]:
        held, self._held = self._held, ""
        return self._part(held)

    @property
    def _tag(self) -> str:
        return "</think>" if self._thinks else "<think>"

    def _begun(self) -> int:
        """How many characters at the end may be the beginning of a tag."""
        return max(n for n in range(len(self._tag)) if self._held.endswith(self._tag[:n]))

    def _part(self, text: str) -> list[PartDelta]:
        if not text:
            return []
        return [Reasoning(text) if self._thinks else Text(text)]
