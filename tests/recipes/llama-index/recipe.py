import os

from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.llms.openai import OpenAI

# begin docs
from openinference.instrumentation import using_attributes
from openinference.instrumentation.llama_index import LlamaIndexInstrumentor
from tracing import provider

LlamaIndexInstrumentor().instrument(tracer_provider=provider)

def answer(user_id, session_id, chat_engine, text):
    with using_attributes(user_id=user_id, session_id=session_id):
        return chat_engine.chat(text)
# end docs


def conversation(user_id, session_id):
    # The class does not read the variable itself.
    llm = OpenAI(model="gpt-5", api_base=os.environ["OPENAI_BASE_URL"])
    chat_engine = SimpleChatEngine.from_defaults(llm=llm, system_prompt="Be kind.")
    return lambda text: answer(user_id, session_id, chat_engine, text).response
