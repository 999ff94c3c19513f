from strands import tool
from strands.models.openai import OpenAIModel

# begin docs
from strands import Agent
from strands.telemetry import StrandsTelemetry

StrandsTelemetry().setup_otlp_exporter()

def agent_of(user_id, session_id):
    names = {"user.id": user_id, "session.id": session_id}
    return Agent(name="support", model=model, tools=tools, trace_attributes=names)
# end docs


@tool
def find_order() -> str:
    """Finds the user's order."""
    return "on its way"


model = OpenAIModel(model_id="gpt-5")
tools = [find_order]


def conversation(user_id, session_id):
    agent = agent_of(user_id, session_id)
    return lambda text: str(agent(text)).strip()
