"""Gives asuser's tools to LangChain, as the person whose token is in ASUSER_TOKEN. No model is called here."""

import asyncio
import json
import os

from langchain_mcp_adapters.client import MultiServerMCPClient

URL = os.environ.get("ASUSER_URL", "http://127.0.0.1:8080/mcp")
TOKEN = os.environ.get("ASUSER_TOKEN")


async def main() -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    client = MultiServerMCPClient({"asuser": {"transport": "streamable_http", "url": URL, "headers": headers}})
    # These are what an agent gets: `create_agent(model, tools)`.
    tools = {tool.name: tool for tool in await client.get_tools()}
    print("tools:", ", ".join(tools))

    async def call(name: str, arguments: dict) -> object:
        """As an agent does it: a call of the model's goes in, a message for the model comes out."""
        return await tools[name].ainvoke({"type": "tool_call", "id": "1", "name": name, "args": arguments})

    person = await call("whoami", {})
    print("person:", person.artifact["structured_content"]["principal"]["login"])

    answer = await call("query_table", {"table": "orders", "order": "id", "limit": 10})
    print("rows:", json.dumps(answer.artifact["structured_content"]["rows"]))

    # What is closed to this person does not exist for them. The model reads why.
    refused = await call("query_table", {"table": "secrets"})
    print("refused:", refused.status, refused.text)


asyncio.run(main())
