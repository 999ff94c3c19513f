import openai

# begin docs
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from tracing import turn_of

OpenAIInstrumentor().instrument()

def answer(user_id, session_id, history):
    with turn_of(user_id, session_id):
        return client.chat.completions.create(model="gpt-5", messages=history)
# end docs

client = openai.OpenAI()


def conversation(user_id, session_id):
    history = [{"role": "system", "content": "Be kind."}]

    def say(text):
        history.append({"role": "user", "content": text})
        reply = answer(user_id, session_id, history).choices[0].message.content
        history.append({"role": "assistant", "content": reply})
        return reply

    return say
