"""Chat templates for the tiny models. ChatML is the plain one; the others rewrite history, each in its own way."""

from typing import Final

CHATML: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# As Qwen3 does: the thinking of earlier assistant turns disappears once a new user turn follows.
STRIPS_THINKING: Final = (
    "{% set ns = namespace(last_user=-1) %}"
    "{% for message in messages %}{% if message['role'] == 'user' %}{% set ns.last_user = loop.index0 %}{% endif %}"
    "{% endfor %}"
    "{% for message in messages %}"
    "{% set content = message['content'] %}"
    "{% if message['role'] == 'assistant' and loop.index0 < ns.last_user and '</think>' in content %}"
    "{% set content = content.split('</think>')[-1].lstrip('\n') %}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + content + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

DATED: Final = "{{ '<|im_start|>system\nToday is ' + strftime_now('%d %B %Y') + '.<|im_end|>\n' }}" + CHATML

# The date's worst case: the very first tokens differ on every render.
CLOCKED: Final = "{{ '<|im_start|>system\nIt is ' + strftime_now('%H:%M:%S.%f') + '.<|im_end|>\n' }}" + CHATML

_LAST_USER: Final = (
    "{% set ns = namespace(last_user=-1) %}"
    "{% for message in messages %}{% if message.role == 'user' %}{% set ns.last_user = loop.index0 %}{% endif %}"
    "{% endfor %}"
)

# As Qwen3, with the thought in a field of its own; it can be asked not to think.
THINKS: Final = (
    _LAST_USER + "{% for message in messages %}"
    "{% set thought = '' %}"
    "{% if message.reasoning_content is string and (preserve_thinking or loop.index0 > ns.last_user) %}"
    "{% set thought = '<think>\n' + message.reasoning_content.strip('\n') + '\n</think>\n\n' %}"
    "{% endif %}"
    "{{ '<|im_start|>' + message.role + '\n' + thought + message.content.lstrip('\n') + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{% endif %}"
)

# As R1's distillates and Qwen3-Thinking: the prompt itself opens the thought.
OPENS_THOUGHT: Final = (
    "{% for message in messages %}"
    "{% set content = message.content.split('</think>')[-1] if message.role == 'assistant' else message.content %}"
    "{{ '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}"
)

THINKING: Final[dict[str, str]] = {"thinks": THINKS, "opens_thought": OPENS_THOUGHT}

TEMPLATES: Final[dict[str, str]] = {
    "chatml": CHATML,
    "strips_thinking": STRIPS_THINKING,
    "dated": DATED,
    "clocked": CLOCKED,
}
