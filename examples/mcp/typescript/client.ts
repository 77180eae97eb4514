// Asks asuser with the MCP TypeScript SDK, as the person whose token is in ASUSER_TOKEN.
// Node.js from 22.18 runs it as it is: node client.ts
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js";

const url = new URL(process.env.ASUSER_URL ?? "http://127.0.0.1:8080/mcp");
const token = process.env.ASUSER_TOKEN;

const asuser = new Client({ name: "example", version: "1.0.0" });
const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
await asuser.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));

async function call(name: string, args: Record<string, unknown> = {}): Promise<CallToolResult> {
  return (await asuser.callTool({ name, arguments: args })) as CallToolResult;
}

const { tools } = await asuser.listTools();
console.log("tools:", tools.map((tool) => tool.name).join(", "));

const person = (await call("whoami")).structuredContent as { principal: { login: string } };
console.log("person:", person.principal.login);

const answer = await call("query_table", { table: "orders", order: "id", limit: 10 });
console.log("rows:", JSON.stringify(answer.structuredContent?.rows));

// What is closed to this person does not exist for them. It is a result, so that a model can read why.
const refused = await call("query_table", { table: "secrets" });
const said = refused.content[0];
console.log("refused:", refused.isError, said.type === "text" ? said.text : "");

await asuser.close();
