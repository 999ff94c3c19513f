from agents import Agent, SQLiteSession, function_tool

# begin docs
from agents import Runner
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.genai.openai_agents import OpenAIAgentsInstrumentor
from tracing import turn_of

OpenAIInstrumentor().instrument()
OpenAIAgentsInstrumentor().instrument(disable_openai_trace_export=True)   # else OpenAI receives the traces too

def answer(user_id, session, text):
    with turn_of(user_id, session.session_id):
        return Runner.run_sync(agent, text, session=session).final_output
# end docs


@function_tool
def find_order() -> str:
    """Finds the user's order."""
    return "on its way"


agent = Agent(name="support", model="gpt-5", instructions="Be kind.", tools=[find_order])


def conversation(user_id, session_id):
    session = SQLiteSession(session_id)
    return lambda text: answer(user_id, session, text)
