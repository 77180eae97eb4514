"""Signs in, in a browser, where asuser says that people sign in, and asks as whoever signed in. Needs no token beforehand.

The SDK does all that the protocol says: it reads asuser's metadata after the 401, registers itself at the identity provider, and gets a
token for asuser's own address (authorization code with PKCE, RFC 8707). Where the provider registers nobody by itself, give the client
that your administrator made: return it from `get_client_info`.
"""

import asyncio
import json
import os
import webbrowser
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

URL = os.environ.get("ASUSER_URL", "http://127.0.0.1:8080/mcp")


class InMemory(TokenStorage):
    """Forgets everything when the program ends; a real one keeps it where only this user reads."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


async def main() -> None:
    came_back: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()

    async def callback(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The provider sends the browser here when the person has signed in."""
        target = (await reader.readline()).decode().split(" ")[1]
        query = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nYou can close this page.\n")
        await writer.drain()
        writer.close()
        if "code" in query and not came_back.done():
            came_back.set_result(AuthorizationCodeResult(**{name: query.get(name) for name in ("code", "state", "iss")}))

    async def open_browser(url: str) -> None:
        print("sign in at:", url, flush=True)
        webbrowser.open(url)

    async def wait() -> AuthorizationCodeResult:
        return await asyncio.wait_for(came_back, timeout=300)

    server = await asyncio.start_server(callback, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    oauth = OAuthClientProvider(
        server_url=URL,
        client_metadata=OAuthClientMetadata(
            client_name="example", redirect_uris=[f"http://127.0.0.1:{port}/callback"], token_endpoint_auth_method="none"
        ),
        storage=InMemory(),
        redirect_handler=open_browser,
        callback_handler=wait,
    )
    async with server, httpx2.AsyncClient(auth=oauth) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as asuser:
            person = await asuser.call_tool("whoami")
            print("person:", person.structured_content["principal"]["login"])
            answer = await asuser.call_tool("query_table", {"table": "orders", "order": "id", "limit": 10})
            print("rows:", json.dumps(answer.structured_content["rows"]))


asyncio.run(main())
