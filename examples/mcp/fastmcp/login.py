"""Signs in, in a browser, where asuser says that people sign in, and asks as whoever signed in. Needs no token beforehand."""

import asyncio
import json
import os

from fastmcp import Client

URL = os.environ.get("ASUSER_URL", "http://127.0.0.1:8080/mcp")


async def main() -> None:
    # Registers itself at the identity provider. Where that is not allowed: auth=OAuth(client_id=…), from fastmcp.client.auth.
    async with Client(URL, auth="oauth") as asuser:
        person = await asuser.call_tool("whoami")
        print("person:", person.structured_content["principal"]["login"])
        answer = await asuser.call_tool("query_table", {"table": "orders", "order": "id", "limit": 10})
        print("rows:", json.dumps(answer.structured_content["rows"]))


asyncio.run(main())
