# begin docs
from langfuse import observe, propagate_attributes
from langfuse.openai import openai

@observe()
def answer(user_id, session_id, history):
    with propagate_attributes(user_id=user_id, session_id=session_id):
        return openai.chat.completions.create(model="gpt-5", messages=history)
# end docs


def conversation(user_id, session_id):
    history = [{"role": "system", "content": "Be kind."}]

    def say(text):
        history.append({"role": "user", "content": text})
        reply = answer(user_id, session_id, history).choices[0].message.content
        history.append({"role": "assistant", "content": reply})
        return reply

    return say
