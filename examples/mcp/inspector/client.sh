#!/bin/sh
# Asks asuser with the MCP Inspector's command line, as the person whose token is in ASUSER_TOKEN.
#   npm install @modelcontextprotocol/inspector@2.12.0
set -u
url=${ASUSER_URL:-http://127.0.0.1:8080/mcp}
inspector=${INSPECTOR:-npx mcp-inspector}

ask() {
    # --protocol-era auto asks for the newest revision that both speak.
    if [ -n "${ASUSER_TOKEN:-}" ]; then
        $inspector --cli "$url" --transport http --protocol-era auto --format json --quiet \
            --header "Authorization: Bearer $ASUSER_TOKEN" "$@"
    else
        $inspector --cli "$url" --transport http --protocol-era auto --format json --quiet "$@"
    fi
}

ask --method tools/list || exit
ask --method tools/call --tool-name whoami || exit
ask --method tools/call --tool-name query_table --tool-args-json '{"table":"orders","order":"id","limit":10}' || exit
# What is closed to this person does not exist for them. The Inspector ends with 5 where a tool refuses.
ask --method tools/call --tool-name query_table --tool-args-json '{"table":"secrets"}'
test $? -eq 5
