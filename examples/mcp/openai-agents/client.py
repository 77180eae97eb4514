"""Gives asuser's tools to the OpenAI Agents SDK, as the person whose token is in ASUSER_TOKEN. No model is called here."""

import asyncio
import json
import os

from agents.mcp import MCPServerStreamableHttp

URL = os.environ.get("ASUSER_URL", "http://127.0.0.1:8080/mcp")
TOKEN = os.environ.get("ASUSER_TOKEN")


async def main() -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    # What an agent gets: `Agent(name="Sales copilot", mcp_servers=[asuser])`.
    async with MCPServerStreamableHttp(
        name="asuser", params={"url": URL, "headers": headers, "timeout": 30}, client_session_timeout_seconds=30
    ) as asuser:
        tools = await asuser.list_tools()
        print("tools:", ", ".join(tool.name for tool in tools))

        person = await asuser.call_tool("whoami", {})
        print("person:", person.structuredContent["principal"]["login"])

        answer = await asuser.call_tool("query_table", {"table": "orders", "order": "id", "limit": 10})
        print("rows:", json.dumps(answer.structuredContent["rows"]))

        # What is closed to this person does not exist for them. It is a result, so that the model can read why.
        refused = await asuser.call_tool("query_table", {"table": "secrets"})
        print("refused:", refused.isError, refused.content[0].text)


asyncio.run(main())
