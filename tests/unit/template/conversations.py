"""Conversations of many kinds, as variables of chat templates."""
import itertools

USER = {"role": "user", "content": "What is 2 < 3 & \"x\" in Grönland? 日本 🙂\n"}
ASSISTANT = {"role": "assistant", "content": "It is <b>true</b>.\n\n  Isn't it?"}
SYSTEM = {"role": "system", "content": "You are a helpful assistant.\nBe brief."}
DEVELOPER = {"role": "developer", "content": "Follow the rules."}
THINKER = {"role": "assistant", "content": "<think>\nLet me see.\n</think>\n\nThe answer is 4."}
REASONER = {"role": "assistant", "content": "It is 4.", "reasoning_content": "two and two\n", "thinking": "hm",
            "reasoning": "because"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Look at "}, {"type": "image", "image": "a.png"},
                                     {"type": "image_url", "image_url": {"url": "b.png"}},
                                     {"type": "text", "text": "this."}]}
TEXT_PARTS = {"role": "user", "content": [{"type": "text", "text": "only text"}]}


def call(arguments, number=0, **more):
    return {"id": f"call{number:05d}", "type": "function",
            "function": {"name": "get_weather", "arguments": arguments}, **more}


ARGUMENTS = {"city": "Zürich", "days": 3, "details": {"wind": True, "units": ["m/s", "kn"], "scale": 1.5, "note": None}}
CALLER = {"role": "assistant", "content": None, "tool_calls": [call(ARGUMENTS)]}
CALLER_TEXT = {"role": "assistant", "content": "", "tool_calls": [call('{"city": "Oslo"}')]}
CALLER_TALKS = {"role": "assistant", "content": "Let me look.", "tool_calls": [call(ARGUMENTS), call({}, 1)]}
CALLER_THINKS = {"role": "assistant", "content": "", "reasoning_content": "I need the weather", "thinking": "weather!",
                 "tool_calls": [call({"city": "Bern", "code": "a\nb"}, 2)]}
CALLER_BARE = {"role": "assistant", "tool_calls": [call({"city": "Bern"}, 3)]}
CALLER_FLAT = {"role": "assistant", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Rom"}}]}
RESULT = {"role": "tool", "content": '{"temperature": 21.5}', "tool_call_id": "call00000", "name": "get_weather"}
RESULT_BARE = {"role": "tool", "content": "sunny", "name": "get_weather"}
RESULT_OBJECT = {"role": "tool", "content": {"temperature": 21, "sky": "é"}, "tool_call_id": "call00000", "name": "x"}
RESULT_LIST = {"role": "tool", "content": [{"type": "text", "text": "cloudy"}], "tool_call_id": "call00000"}

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "Tells the weather in a city's <area>.",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "The city"},
        "days": {"type": "integer", "default": 1, "minimum": 0},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
        "details": {"type": "object", "properties": {"wind": {"type": "boolean"}, "n": {"type": "number"}},
                    "required": ["wind"]},
        "places": {"type": "array", "items": {"type": "string"}, "nullable": True},
        "points": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
        "any": {"oneOf": [{"type": "string"}, {"type": "integer", "description": "or a number", "default": 2}]},
        "both": {"type": ["string", "null"], "description": "either"}}},
    "return": {"type": "object", "description": "the weather"}}}
PLAIN = {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {
    "type": "object", "properties": {}}}}
BARE = {"name": "bare", "description": "A tool without a wrapper", "parameters": {
    "type": "object", "properties": {"q": {"type": "string", "description": "query"}}, "required": ["q"]}}
TOOLS = [WEATHER, PLAIN]

MESSAGES = {
    "one turn": [USER],
    "system": [SYSTEM, USER],
    "developer": [DEVELOPER, USER],
    "several turns": [SYSTEM, USER, ASSISTANT, USER, THINKER, USER],
    "ends with the assistant": [USER, ASSISTANT],
    "no user": [ASSISTANT],
    "two users": [USER, USER],
    "system in the middle": [USER, ASSISTANT, SYSTEM, USER],
    "reasoning": [SYSTEM, USER, REASONER, USER, REASONER],
    "thinking": [USER, THINKER, USER, THINKER],
    "parts": [PARTS],
    "text parts": [SYSTEM, TEXT_PARTS, ASSISTANT, TEXT_PARTS],
    "tool call": [USER, CALLER],
    "tool result": [USER, CALLER, RESULT],
    "tool conversation": [SYSTEM, USER, CALLER, RESULT, ASSISTANT, USER],
    "text arguments": [USER, CALLER_TEXT, RESULT, ASSISTANT],
    "two calls": [SYSTEM, USER, CALLER_TALKS, RESULT, {**RESULT, "tool_call_id": "call00001"}, ASSISTANT, USER],
    "calls in a row": [USER, CALLER_TEXT, RESULT, CALLER_THINKS, RESULT_BARE, ASSISTANT, USER, CALLER, RESULT],
    "bare call": [USER, CALLER_BARE, RESULT_BARE, ASSISTANT],
    "flat call": [USER, CALLER_FLAT, RESULT_BARE],
    "object result": [USER, CALLER, RESULT_OBJECT],
    "list result": [USER, CALLER, RESULT_LIST, ASSISTANT, USER],
    "result alone": [USER, RESULT],
    "no content": [USER, {"role": "assistant", "content": None}, USER],
    "unknown role": [USER, {"role": "narrator", "content": "Meanwhile …"}],
    "switches": [{"role": "system", "content": "Think. /no_think"}, {"role": "user", "content": "Hi /think"}],
    "apertus parts": [{"role": "user", "content": {"parts": [{"type": "text", "text": "hi"}]}},
                      {"role": "assistant", "content": {"blocks": [
                          {"type": "thoughts", "text": "hm"},
                          {"type": "tool_calls", "calls": [{"name": "f", "arguments": "{}"}]},
                          {"type": "tool_outputs", "outputs": [{"name": "f", "output": "1"}]},
                          {"type": "response", "text": "done"}]}}],
    "nothing": [],
}
TOOL_SETS = {"no tools": {}, "null tools": {"tools": None, "documents": None}, "tools": {"tools": TOOLS},
             "one tool": {"tools": [PLAIN]}, "bare tool": {"tools": [BARE]}}
EXTRAS = [
    {"enable_thinking": True}, {"enable_thinking": False}, {"thinking": True}, {"thinking": False},
    {"reasoning_effort": "high", "model_identity": "You are someone else.", "builtin_tools": ["browser", "python"]},
    {"documents": [{"title": "T", "text": "Text & more", "doc_id": 1, "title_": 2}]},
    {"documents": [{"title": "T", "snippet": "s", "text": "x"}, {"text": "y"}], "citations": True},
    {"xml_tools": ["a"], "python_tools": ["b"], "custom_instructions": "Be kind.", "thinking_budget": 512},
    {"thinking_budget": 0}, {"preserve_thinking": True, "clear_thinking": False},
    {"date_string": "1 May 2025", "tools_in_user_message": False}, {"current_date": "2025-05-05"},
    {"add_vision_id": True, "continue_final_message": True}, {"safety_mode": "STRICT", "skip_preamble": True},
]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def contexts():
    """(description, variables) of every conversation."""
    for (name, messages), (tools, given), prompt in itertools.product(
            MESSAGES.items(), TOOL_SETS.items(), (True, False)):
        yield (f"{name}, {tools}, {'with' if prompt else 'without'} prompt",
               {**TOKENS, "messages": messages, "add_generation_prompt": prompt, **given})
    for extra, name in itertools.product(EXTRAS, ("system", "thinking", "two calls", "reasoning")):
        yield (f"{name}, {extra}",
               {**TOKENS, "messages": MESSAGES[name], "add_generation_prompt": True, "tools": TOOLS, **extra})
        yield (f"{name}, {extra}, no tools",
               {**TOKENS, "messages": MESSAGES[name], "add_generation_prompt": False, **extra})
