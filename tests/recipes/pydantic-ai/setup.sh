pip install "pydantic-ai-slim[openai]"
