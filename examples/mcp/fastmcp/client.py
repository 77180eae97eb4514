"""Asks asuser with FastMCP's client, as the person whose token is in ASUSER_TOKEN."""

import asyncio
import json
import os

from fastmcp import Client
from fastmcp.exceptions import ToolError

URL = os.environ.get("ASUSER_URL", "http://127.0.0.1:8080/mcp")
TOKEN = os.environ.get("ASUSER_TOKEN")


async def main() -> None:
    # A text is sent as bearer token; `auth="oauth"` would open a browser to sign in.
    async with Client(URL, auth=TOKEN) as asuser:
        tools = await asuser.list_tools()
        print("tools:", ", ".join(tool.name for tool in tools))

        person = await asuser.call_tool("whoami")
        print("person:", person.structured_content["principal"]["login"])

        answer = await asuser.call_tool("query_table", {"table": "orders", "order": "id", "limit": 10})
        print("rows:", json.dumps(answer.structured_content["rows"]))

        # What is closed to this person does not exist for them.
        try:
            await asuser.call_tool("query_table", {"table": "secrets"})
        except ToolError as refused:
            print("refused:", refused)


asyncio.run(main())
