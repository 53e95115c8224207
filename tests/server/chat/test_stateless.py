"""Clients that resend everything find the ids of record by its text."""

from pathlib import Path

from tests.server.chat.driver import Chat, message, user
from tests.server.chat.transcript.test_transcript import spell
from tests.support.models import IM_END
from tests.support.templates import STRIPS_THINKING
from tests.support.tokenizer import chat_tokenizer

from warmturn_server.chat import TextTokenizer


class TestStatelessClients:
    said = "another one, who knows how, from Köln"

    async def test_generated_text_sent_again_is_recognised(self, chat: Chat) -> None:
        answer = [*spell(self.said, 4), IM_END]
        await chat.resend(("user", "who?"), answer=answer)
        ids = (*chat.engine.requests[-1].token_ids, *answer)
        await chat.resend(("user", "who?"), ("assistant", self.said), ("user", "where?"))
        assert chat.engine.requests[-1].token_ids[: len(ids)] == ids
        assert chat.kept == len(ids) - 1

    async def test_over_many_turns_and_as_text_after_a_restart(self, chat: Chat, tmp_path: Path) -> None:
        messages, known = [("system", "You are good. " * 10)], 0
        for number in range(8):
            if number == 4:
                chat.service.close()
                chat, known = Chat(tmp_path), 0
            messages.append(("user", f"question {number}"))
            answer = [*spell(f"{self.said} {number}", number), IM_END]
            await chat.resend(*messages, answer=answer)
            assert chat.kept == known
            assert chat.unstored.num_turns == 1, "what it goes on from is let go"
            known = len(chat.engine.requests[-1].token_ids) + len(answer) - 1
            messages.append(("assistant", f"{self.said} {number}"))
        chat.service.close()

    async def test_a_conversation_with_an_id_is_found_too(self, chat: Chat) -> None:
        conversation = await chat.new()
        answer = [*spell(self.said, 4), IM_END]
        await chat.say("who?", answer, conversation_id=conversation.id)
        known = len(chat.engine.requests[-1].token_ids) + len(answer) - 1
        await chat.resend(("user", "who?"), ("assistant", self.said), ("user", "where?"))
        assert chat.kept == known

    async def test_what_goes_on_is_told_from_what_only_begins_alike(self, chat: Chat) -> None:
        system, first = ("system", "You are good. " * 10), ("user", "who?")
        answer = [*spell(self.said, 4), IM_END]
        await chat.resend(system, first, answer=answer)
        await chat.resend(system, ("user", "what?"))
        await chat.resend(system, first, ("assistant", self.said), ("user", "where?"))
        conversation = await chat.new()
        await chat.say("who?", answer, conversation_id=conversation.id)
        await chat.say("where?", conversation_id=conversation.id)
        assert [request.continues for request in chat.engine.requests] == [False, False, True, False, True]

    async def test_regenerating_and_editing_keep_what_is_common(self, chat: Chat) -> None:
        start = ("user", "who? " * 30)
        await chat.resend(start, answer=[*spell(self.said, 4), IM_END])
        prompt = len(chat.engine.requests[-1].token_ids)
        await chat.resend(start, answer=[*spell("theirs", 4), IM_END])
        assert chat.kept == prompt
        await chat.resend(start, ("assistant", self.said), ("user", "go on"))
        assert chat.kept > prompt + 5
        await chat.resend(("user", "who? " * 29 + "where?"))
        assert prompt * 0.7 < chat.kept < prompt
        assert chat.engine.requests[-1].rewrite is None, "the user changed it, not the template"

    async def test_thinking_that_the_template_drops_is_found_as_far_as_it_goes(self, tmp_path: Path) -> None:
        chat = Chat(tmp_path, TextTokenizer(chat_tokenizer(STRIPS_THINKING)))
        messages: list[tuple[str, str]] = []
        prompts = [0]
        for number in range(5):
            messages.append(("user", f"question {number}"))
            said = f"<think>{self.said}</think>the {number}"
            await chat.resend(*messages, answer=[*chat.tokenizer.encode(said).token_ids, IM_END])
            assert chat.kept == prompts[-1]
            prompts.append(len(chat.engine.requests[-1].token_ids))
            messages.append(("assistant", said))
        chat.service.close()

    async def test_strangers_with_the_same_beginning_share_only_that(self, chat: Chat) -> None:
        system = ("system", "You are good. " * 10)
        for number in range(20):
            await chat.resend(system, ("user", f"{number} is my number"))
            assert (chat.kept > 20) == (number > 0)
            assert f"user\n{number} is" in chat.prompt

    async def test_a_full_input_with_stored_responses_stands_for_itself(self, chat: Chat) -> None:
        await chat.resend(("user", "who?"), answer=[*spell(self.said, 4), IM_END])
        items = (user("who?"), message("assistant", self.said), user("where?"))
        turn = await chat.ask(items, None, stored=True)
        assert chat.kept > 20
        await chat.say("and?", previous_response_id=turn.id)
        assert chat.prompt.count("who?") == 1
