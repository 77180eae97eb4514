"""Asks asuser with the MCP Python SDK, as the person whose token is in ASUSER_TOKEN."""

import asyncio
import json
import os

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

URL = os.environ.get("ASUSER_URL", "http://127.0.0.1:8080/mcp")
TOKEN = os.environ.get("ASUSER_TOKEN")


async def main() -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    async with httpx2.AsyncClient(headers=headers) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as asuser:
            tools = (await asuser.list_tools()).tools
            print("tools:", ", ".join(tool.name for tool in tools))

            person = await asuser.call_tool("whoami")
            print("person:", person.structured_content["principal"]["login"])

            answer = await asuser.call_tool("query_table", {"table": "orders", "order": "id", "limit": 10})
            print("rows:", json.dumps(answer.structured_content["rows"]))

            # What is closed to this person does not exist for them. It is a result, so that a model can read why.
            refused = await asuser.call_tool("query_table", {"table": "secrets"})
            print("refused:", refused.is_error, refused.content[0].text)


asyncio.run(main())
