"""A model server for the recipes: OpenAI's chat completions and responses API on a free port of this machine.

A reply repeats the user's text. If the request has tools and the user has spoken last, the model calls the first tool instead, so each
turn of an agent with a tool is two calls of the model.

Sources: https://platform.openai.com/docs/api-reference/chat and https://platform.openai.com/docs/api-reference/responses.
"""

import http.server
import itertools
import json
import threading

NUMBERS = itertools.count(1)


def reply_to(text):
    return f"You wrote: {text}"


def plain(content):
    """Returns the text of a message's content: a text, or a list of parts."""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or [])


def users_text(messages):
    """Returns the last text of the user."""
    return next(plain(message["content"]) for message in reversed(messages) if message.get("role") == "user")


def tool_to_call(request, messages):
    """Returns the name of the tool to call, or None if the model replies."""
    if not request.get("tools") or messages[-1].get("role") != "user":
        return None
    tool = request["tools"][0]
    return tool.get("function", tool)["name"]


def completion(request):
    """Returns the answer to `POST /chat/completions`."""
    message = {"role": "assistant", "content": None}
    if tool := tool_to_call(request, request["messages"]):
        function = {"name": tool, "arguments": "{}"}
        message["tool_calls"] = [{"id": f"call_{next(NUMBERS)}", "type": "function", "function": function}]
    else:
        message["content"] = reply_to(users_text(request["messages"]))
    return {
        "id": f"chatcmpl-{next(NUMBERS)}",
        "object": "chat.completion",
        "created": 1_767_225_600,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if tool else "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def completion_chunks(request):
    """Returns the events of a streamed answer to `POST /chat/completions`."""
    whole = completion(request)
    [choice] = whole.pop("choices")
    usage = whole.pop("usage")
    delta = choice["message"]
    for index, call in enumerate(delta.get("tool_calls", [])):
        call["index"] = index
    for delta, reason in ((delta, None), ({}, choice["finish_reason"])):
        part = {"index": 0, "delta": delta, "finish_reason": reason}
        yield {**whole, "object": "chat.completion.chunk", "choices": [part]}
    if request.get("stream_options", {}).get("include_usage"):
        yield {**whole, "object": "chat.completion.chunk", "choices": [], "usage": usage}


def response(request):
    """Returns the answer to `POST /responses`."""
    items = request["input"]
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items
    if tool := tool_to_call(request, items):
        item = {"type": "function_call", "call_id": f"call_{next(NUMBERS)}", "name": tool, "arguments": "{}"}
    else:
        text = {"type": "output_text", "text": reply_to(users_text(items)), "annotations": [], "logprobs": []}
        item = {"type": "message", "role": "assistant", "content": [text]}
    return {
        "id": f"resp_{next(NUMBERS)}",
        "object": "response",
        "created_at": 1_767_225_600,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "metadata": {},
        "model": request["model"],
        "output": [{"id": f"item_{next(NUMBERS)}", "status": "completed", **item}],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 2,
        },
    }


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        match self.path.removeprefix("/v1"), request.get("stream"):
            case "/chat/completions", True:
                events = [*map(json.dumps, completion_chunks(request)), "[DONE]"]
                self.answer("text/event-stream", "".join(f"data: {event}\n\n" for event in events))
            case "/chat/completions", _:
                self.answer("application/json", json.dumps(completion(request)))
            case "/responses", None | False:
                self.answer("application/json", json.dumps(response(request)))
            case _:
                self.send_error(501, f"the model server does not know {self.path} with stream={request.get('stream')}")

    def answer(self, kind, body):
        body = body.encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Model:
    """The server, as long as the block runs."""

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
