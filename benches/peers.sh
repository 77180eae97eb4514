#!/bin/sh
# Installs other gateways from npm into target/npm/peers, to be measured beside asuser: `asuser-bench postgres`. Optional.
set -eu
cd "$(dirname "$0")/.."
command -v npm >/dev/null 2>&1 || { echo "npm is not here: they are left out of the measurement" >&2; exit 1; }
mkdir -p target/npm/peers
# A folder of its own, so that npm does not tidy away what lies beside it.
echo '{ "private": true }' > target/npm/peers/package.json
npm install --silent --no-audit --no-fund --save-exact --prefix target/npm/peers postgraphile@4.14.1 @toolbox-sdk/server@1.12.0
echo "installed: PostGraphile 4.14.1, MCP Toolbox 1.12.0"
