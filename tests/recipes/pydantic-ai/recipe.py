# begin docs
from pydantic_ai import Agent
from tracing import turn_of

Agent.instrument_all()
agent = Agent("openai:gpt-5", name="support", instructions="Be kind.")

def answer(user_id, session_id, text, history):
    with turn_of(user_id, session_id):
        return agent.run_sync(text, message_history=history)
# end docs


@agent.tool_plain
def find_order() -> str:
    """Finds the user's order."""
    return "on its way"


def conversation(user_id, session_id):
    history = []

    def say(text):
        result = answer(user_id, session_id, text, history)
        history[:] = result.all_messages()
        return result.output

    return say
