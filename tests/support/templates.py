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

# As Qwen 2.5 and 3: functions in the system message, calls in tags, results as the user's. Thoughts stay while
# functions are called, and go with the next question.
CALLS: Final = (
    _LAST_USER + "{% if tools %}{{ '<|im_start|>system\n<tools>\n' }}"
    "{% for tool in tools %}{{ tool | tojson + '\n' }}{% endfor %}{{ '</tools><|im_end|>\n' }}{% endif %}"
    "{% for message in messages %}"
    "{% if message.role == 'tool' %}"
    "{% if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}"
    "{{ '\n<tool_response>\n' + message.content + '\n</tool_response>' }}"
    "{% if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}"
    "{% else %}"
    "{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.reasoning_content is string and loop.index0 > ns.last_user %}"
    "{{ '<think>\n' + message.reasoning_content.strip('\n') + '\n</think>\n\n' }}{% endif %}"
    "{{ message.content.lstrip('\n') }}"
    "{% for call in message.tool_calls or [] %}"
    "{% if not loop.first or message.content %}{{ '\n' }}{% endif %}"
    "{{ '<tool_call>\n' + ({'name': call.function.name, 'arguments': call.function.arguments} | tojson) "
    "+ '\n</tool_call>' }}"
    "{% endfor %}"
    "{{ '<|im_end|>\n' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# As Mistral's: marks that are tokens, ids of nine letters, one list.
CALLS_IN_A_LIST: Final = (
    "{% if tools %}{{ '[AVAILABLE_TOOLS]' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}{% endif %}"
    "{% for message in messages %}"
    "{% if message.role == 'user' %}{{ '[INST]' + message.content + '[/INST]' }}"
    "{% elif message.tool_calls %}{{ '[TOOL_CALLS][' }}"
    "{% for call in message.tool_calls %}"
    "{% if call.id | length != 9 %}{{ raise_exception('ids have nine letters') }}{% endif %}"
    "{{ ({'name': call.function.name, 'arguments': call.function.arguments, 'id': call.id} | tojson) }}"
    "{% if not loop.last %}{{ ', ' }}{% endif %}{% endfor %}{{ ']<|im_end|>' }}"
    "{% elif message.role == 'tool' %}{{ '[TOOL_RESULTS]' + message.content + '[/TOOL_RESULTS]' }}"
    "{% else %}{{ message.content + '<|im_end|>' }}{% endif %}"
    "{% endfor %}"
)

# As Llama 3's: JSON without marks, one call a message.
CALLS_WITHOUT_MARKS: Final = (
    "{% if tools %}{{ '<|im_start|>system\n' + (tools | tojson) + '<|im_end|>\n' }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.tool_calls %}"
    "{% if message.tool_calls | length != 1 %}{{ raise_exception('one call at once') }}{% endif %}"
    "{% set call = message.tool_calls[0].function %}"
    "{{ '{\"name\": \"' + call.name + '\", \"parameters\": ' + (call.arguments | tojson) + '}' }}"
    "{% else %}{{ message.content }}{% endif %}"
    "{{ '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# As gpt-oss: channels, and a header that is not the one that the model writes.
CALLS_IN_CHANNELS: Final = (
    "{% if tools %}{{ '<|start|>developer<|message|>' + (tools | tojson) + '<|end|>' }}{% endif %}"
    "{% for message in messages %}"
    "{% if message.tool_calls %}"
    "{% if message.thinking %}{{ '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}"
    "{% endif %}"
    "{% set call = message.tool_calls[0].function %}"
    "{{ '<|start|>assistant to=functions.' + call.name + '<|channel|>commentary json<|message|>' "
    "+ (call.arguments | tojson) + '<|call|>' }}"
    "{% elif message.role == 'tool' %}"
    "{{ '<|start|>functions.' + message.name + ' to=assistant<|channel|>commentary<|message|>' + message.content "
    "+ '<|end|>' }}"
    "{% elif message.role == 'assistant' %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}"
    "{% else %}{{ '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)

# As Qwen3-Coder: a tag for each argument.
CALLS_IN_TAGS: Final = (
    "{% if tools %}{{ '<|im_start|>system\n' + (tools | tojson) + '<|im_end|>\n' }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content }}"
    "{% for call in message.tool_calls or [] %}"
    "{{ '\n<tool_call>\n<function=' + call.function.name + '>\n' }}"
    "{% for name, value in call.function.arguments.items() %}"
    "{{ '<parameter=' + name + '>\n' + (value if value is string else value | tojson) + '\n</parameter>\n' }}"
    "{% endfor %}{{ '</function>\n</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

CALLING: Final[dict[str, str]] = {
    "hermes": CALLS,
    "mistral-list": CALLS_IN_A_LIST,
    "llama": CALLS_WITHOUT_MARKS,
    "harmony": CALLS_IN_CHANNELS,
    "qwen-coder": CALLS_IN_TAGS,
}
"""By the name of the format in which they write calls."""

THINKING: Final[dict[str, str]] = {"thinks": THINKS, "opens_thought": OPENS_THOUGHT}

TEMPLATES: Final[dict[str, str]] = {
    "chatml": CHATML,
    "strips_thinking": STRIPS_THINKING,
    "dated": DATED,
    "clocked": CLOCKED,
}
