from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

# begin docs
from openinference.instrumentation import using_attributes
from openinference.instrumentation.langchain import LangChainInstrumentor
from tracing import provider

LangChainInstrumentor().instrument(tracer_provider=provider)

def answer(user_id, session_id, text):
    message = {"role": "user", "content": text}
    with using_attributes(user_id=user_id, session_id=session_id):
        return agent.invoke({"messages": [message]}, {"configurable": {"thread_id": session_id}})
# end docs


def find_order() -> str:
    """Finds the user's order."""
    return "on its way"


agent = create_agent("openai:gpt-5", tools=[find_order], system_prompt="Be kind.", checkpointer=InMemorySaver())


def conversation(user_id, session_id):
    return lambda text: answer(user_id, session_id, text)["messages"][-1].content
